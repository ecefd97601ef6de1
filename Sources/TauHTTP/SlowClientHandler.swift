internal import NIOCore
internal import NIOHTTPTypes

/// Closes connections whose client takes too long to ask: for the head of a request, for its body, or between two requests.
///
/// How long an answer takes is another matter: an event stream may last.
final class SlowClientHandler: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPRequestPart
    typealias InboundOut = HTTPRequestPart
    typealias OutboundIn = HTTPResponsePart
    typealias OutboundOut = HTTPResponsePart

    struct Limits: Sendable {
        /// Seconds for the head of the first request (`http.headSeconds`).
        var headSeconds: Int64 = 10
        /// Seconds for the head of a further request, from the answer before (`http.idleSeconds`).
        var idleSeconds: Int64 = 75
        /// Bytes of a body in any ten seconds (`http.minBodyBytesPerSecond`, tenfold).
        var minBodyBytes = 10_240
    }

    /// How often it is seen whether a body goes on.
    private static let window = TimeAmount.seconds(10)

    private let limits: Limits
    private var deadline: Scheduled<Void>?
    private var bodyBytes = 0
    /// Requests that are not answered yet: a client may send the next one early.
    private var openRequests = 0

    init(limits: Limits) { self.limits = limits }

    func handlerAdded(context: ChannelHandlerContext) {
        if context.channel.isActive { arm(.seconds(limits.headSeconds), context) }
    }

    func handlerRemoved(context: ChannelHandlerContext) { disarm() }

    func channelActive(context: ChannelHandlerContext) {
        arm(.seconds(limits.headSeconds), context)
        context.fireChannelActive()
    }

    func channelInactive(context: ChannelHandlerContext) {
        disarm()
        context.fireChannelInactive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head:
            openRequests += 1
            watchBody(context)
        case .body(let buffer): bodyBytes += buffer.readableBytes
        case .end:
            disarm()
            // It was answered before its body was there.
            if openRequests == 0 { arm(.seconds(limits.idleSeconds), context) }
        }
        context.fireChannelRead(data)
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        if case .end = unwrapOutboundIn(data) {
            openRequests -= 1
            if openRequests == 0 { arm(.seconds(limits.idleSeconds), context) }
        }
        context.write(data, promise: promise)
    }

    private func watchBody(_ context: ChannelHandlerContext) {
        bodyBytes = 0
        let own = NIOLoopBound(context, eventLoop: context.eventLoop)
        let handler = NIOLoopBound(self, eventLoop: context.eventLoop)
        disarm()
        deadline = context.eventLoop.scheduleTask(in: Self.window) {
            guard handler.value.bodyBytes >= handler.value.limits.minBodyBytes else {
                return own.value.close(promise: nil)
            }
            handler.value.watchBody(own.value)
        }
    }

    private func arm(_ time: TimeAmount, _ context: ChannelHandlerContext) {
        let own = NIOLoopBound(context, eventLoop: context.eventLoop)
        disarm()
        deadline = context.eventLoop.scheduleTask(in: time) { own.value.close(promise: nil) }
    }

    private func disarm() {
        deadline?.cancel()
        deadline = nil
    }
}
