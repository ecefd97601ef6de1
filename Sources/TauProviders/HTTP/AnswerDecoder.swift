internal import TauCore
internal import TauWire

/// Makes the steps of an answer out of the server-sent events of one API. It knows no network.
protocol AnswerDecoder {
    /// The API's last event has come; what may follow is of no interest.
    var isComplete: Bool { get }
    /// Nothing of the answer is missing, though the API's last event may be.
    var canFinish: Bool { get }

    /// Whether the event says what it has to say without being a JSON object.
    mutating func takesAsItIs(_ event: EventStreamParser.EventView) -> Bool

    mutating func decode(
        _ json: JSONView, of event: EventStreamParser.EventView, to sink: (ModelEvent) -> Void
    ) throws(ProviderError)

    /// Called once, when the answer is complete or the stream has ended; a stream that broke off is an error.
    mutating func finish(to sink: (ModelEvent) -> Void) throws(ProviderError) -> ModelReply
}

/// Reads the bytes of a streamed answer as they come.
struct AnswerReader<Decoder: AnswerDecoder> {
    private(set) var decoder: Decoder
    private var parser: EventStreamParser
    private let document = JSONDocument()

    init(_ decoder: Decoder, maxEventBytes: Int) {
        self.decoder = decoder
        parser = EventStreamParser(maxEventBytes: maxEventBytes)
    }

    /// Reports what the chunk completes, also what comes before an error; nothing once the answer is complete.
    mutating func push(_ chunk: UnsafeBufferPointer<UInt8>, to sink: (ModelEvent) -> Void) throws(ProviderError) {
        guard !decoder.isComplete else { return }
        // Taken out for the time of the call: the decoder is changed while it reads.
        var parser = EventStreamParser()
        swap(&parser, &self.parser)
        defer { swap(&parser, &self.parser) }
        var failure: ProviderError?
        do throws(EventStreamError) {
            try parser.read(chunk) { event, _ in
                do throws(ProviderError) {
                    try decode(event, to: sink)
                } catch {
                    failure = error
                }
                return failure == nil && !decoder.isComplete
            }
        } catch {
            if failure == nil, !decoder.isComplete {
                failure = ProviderError(.malformed, "The answer is unreadable: \(error)")
            }
        }
        if let failure { throw failure }
    }

    private mutating func decode(
        _ event: EventStreamParser.EventView, to sink: (ModelEvent) -> Void
    ) throws(ProviderError) {
        if decoder.takesAsItIs(event) { return }
        let result: Result<Void, ProviderError>
        do throws(JSONError) {
            result = try document.read(event.data) { json in
                Result { () throws(ProviderError) in
                    guard json.isObject else {
                        throw ProviderError(.malformed, "The model's answer holds an event that is no JSON object.")
                    }
                    try decoder.decode(json, of: event, to: sink)
                }
            }
        } catch {
            throw ProviderError(.malformed, "The model's answer holds an event that is not JSON: \(error)")
        }
        try result.get()
    }

    mutating func finish(to sink: (ModelEvent) -> Void) throws(ProviderError) -> ModelReply {
        try decoder.finish(to: sink)
    }
}

extension ProviderError {
    static func brokenStream(_ missing: String) -> ProviderError {
        ProviderError(.network, "The model's answer broke off: its stream ended before \(missing).")
    }

    static func unknownStop(_ reason: String) -> ProviderError {
        ProviderError(.malformed, "The model stopped for an unknown reason: \(reason.bounded(to: 100))")
    }

    static let refusal = ProviderError(.refused, "The model declined to answer.")
}

extension JSONView {
    /// A count of tokens; a server's nonsense must not overflow a sum.
    var tokenCount: Int? {
        if let integer { return min(max(integer, 0), 1_000_000_000_000) }
        guard let number = double else { return nil }
        return Int(min(max(number, 0), 1e12))
    }
}

extension JSONValue {
    /// The string, if it has any character.
    var nonEmptyString: String? { string.flatMap { $0.isEmpty ? nil : $0 } }
}

extension String {
    /// The start of the text, without control characters, for messages to people.
    func bounded(to count: Int) -> String {
        var text = String.UnicodeScalarView()
        for scalar in unicodeScalars.prefix(count) {
            text.append(scalar.properties.generalCategory == .control ? " " : scalar)
        }
        return unicodeScalars.count > count ? String(text) + "…" : String(text)
    }
}
