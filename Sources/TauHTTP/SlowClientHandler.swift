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
    /// When the client will have been too slow; nil while it is the server's turn.
    private var deadline: NIODeadline?
    private var timer: Scheduled<Void>?
    private var timerTime = NIODeadline.distantFuture
    private var isBodyAwaited = false
    private var bodyBytes = 0
    /// Requests that are not answered yet: a client may send the next one early.
    private var openRequests = 0

    init(limits: Limits) { self.limits = limits }

    func handlerAdded(context: ChannelHandlerContext) {
        if context.channel.isActive { arm(.seconds(limits.headSeconds), context) }
    }

    func handlerRemoved(context: ChannelHandlerContext) { end() }

    func channelActive(context: ChannelHandlerContext) {
        arm(.seconds(limits.headSeconds), context)
        context.fireChannelActive()
    }

    func channelInactive(context: ChannelHandlerContext) {
        end()
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

    /// Looks again and again whether the body goes on.
    private func watchBody(_ context: ChannelHandlerContext) {
        bodyBytes = 0
        isBodyAwaited = true
        setDeadline(in: Self.window, context)
    }

    private func arm(_ time: TimeAmount, _ context: ChannelHandlerContext) {
        isBodyAwaited = false
        setDeadline(in: time, context)
    }

    private func disarm() { deadline = nil }

    private func end() {
        disarm()
        timer?.cancel()
        timer = nil
    }

    /// A timer that is earlier stays: it looks when it is really due. So a request makes none in most cases.
    private func setDeadline(in time: TimeAmount, _ context: ChannelHandlerContext) {
        let deadline = NIODeadline.now() + time
        self.deadline = deadline
        guard timer == nil || deadline < timerTime else { return }
        timer?.cancel()
        timerTime = deadline
        let own = NIOLoopBound(context, eventLoop: context.eventLoop)
        let handler = NIOLoopBound(self, eventLoop: context.eventLoop)
        timer = context.eventLoop.scheduleTask(deadline: deadline) { handler.value.look(own.value) }
    }

    private func look(_ context: ChannelHandlerContext) {
        timer = nil
        guard let deadline else { return }
        let rest = deadline - NIODeadline.now()
        guard rest <= .zero else { return setDeadline(in: rest, context) }
        guard isBodyAwaited, bodyBytes >= limits.minBodyBytes else { return context.close(promise: nil) }
        watchBody(context)
    }
}
