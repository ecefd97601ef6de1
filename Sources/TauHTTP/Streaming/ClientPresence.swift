internal import NIOCore
internal import NIOHTTPTypes
internal import Synchronization

/// Sees that the client of a connection has gone, for an answer that takes long. The connection can be used again after it.
final class ClientPresence: ChannelInboundHandler, RemovableChannelHandler, Sendable {
    typealias InboundIn = HTTPRequestPart
    typealias InboundOut = HTTPRequestPart

    private struct State {
        var isGone = false
        /// Of the one answer that is under way.
        var watcher: AsyncStream<Never>.Continuation?
    }

    private let state = Mutex(State())

    /// Does something for the client for as long as it is there; throws `CancellationError` once it has gone.
    static func require(
        on channel: any Channel, _ body: @escaping @Sendable () async throws -> Void
    ) async throws {
        let presence = try await channel.pipeline.handler(type: ClientPresence.self).get()
        let (end, watcher) = AsyncStream.makeStream(of: Never.self)
        presence.watch(watcher)
        defer { presence.watch(nil) }
        try await withThrowingTaskGroup(of: Void.self) { group in
            defer { group.cancelAll() }
            group.addTask(operation: body)
            group.addTask {
                for await _ in end {}
                throw CancellationError()
            }
            try await group.next()
        }
    }

    private func watch(_ watcher: AsyncStream<Never>.Continuation?) {
        let isGone = state.withLock { state in
            state.watcher = watcher
            return state.isGone
        }
        if isGone { watcher?.finish() }
    }

    private func leave() {
        let watcher = state.withLock { state in
            state.isGone = true
            return state.watcher
        }
        watcher?.finish()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .inputClosed? = event as? ChannelEvent { leave() }
        context.fireUserInboundEventTriggered(event)
    }

    func channelInactive(context: ChannelHandlerContext) {
        leave()
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        leave()
        context.fireErrorCaught(error)
    }
}
