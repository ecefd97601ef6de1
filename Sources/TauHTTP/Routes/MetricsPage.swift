internal import HTTPTypes
internal import Hummingbird
internal import TauCore

/// `GET /metrics`, as whoever keeps the metrics writes it.
package struct MetricsPage: Sendable {
    /// Whether nobody needs a key for it (`metrics.public`).
    let isPublic: Bool
    private let render: @Sendable (_ accept: String?) async -> (type: String, bytes: [UInt8])

    /// `render` is given the request's `Accept`.
    package init(
        isPublic: Bool, render: @escaping @Sendable (_ accept: String?) async -> (type: String, bytes: [UInt8])
    ) {
        self.isPublic = isPublic
        self.render = render
    }

    func get(_ request: Request, _ streams: StreamPlaces) async -> Response {
        Measurements.openStreams.set(streams.count)
        let page = await render(request.headers[.accept])
        return .bytes(page.bytes, type: page.type)
    }
}
