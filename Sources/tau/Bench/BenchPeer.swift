internal import NIOCore
internal import NIOHTTP1
internal import NIOPosix

/// What a measured server speaks to.
struct BenchPeer {
    enum Behaviour: Sendable {
        /// Begins a model's answer to everyone and never goes on: what a slow model looks like.
        case slowModel
        /// Takes whatever comes.
        case receiver
    }

    private let group: MultiThreadedEventLoopGroup
    private let channel: any Channel
    let port: Int

    init(_ behaviour: Behaviour) async throws {
        group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        channel = try await ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 4096)
            .childChannelInitializer { channel in
                channel.pipeline.configureHTTPServerPipeline().flatMapThrowing {
                    try channel.pipeline.syncOperations.addHandler(Answers(behaviour))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        port = channel.localAddress?.port ?? 0
    }

    func shutdown() async throws {
        try await channel.close()
        try await group.shutdownGracefully()
    }
}

private final class Answers: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private static let beginning = #"data: {"choices":[{"index":0,"delta":{"content":"Well, "}}]}"# + "\n\n"

    private let behaviour: BenchPeer.Behaviour

    init(_ behaviour: BenchPeer.Behaviour) { self.behaviour = behaviour }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard case .end = unwrapInboundIn(data) else { return }
        guard behaviour == .slowModel else {
            let head = HTTPResponseHead(version: .http1_1, status: .ok, headers: ["content-length": "0"])
            context.write(wrapOutboundOut(.head(head)), promise: nil)
            return context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        }
        let head = HTTPResponseHead(
            version: .http1_1, status: .ok, headers: ["content-type": "text/event-stream"])
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        let buffer = context.channel.allocator.buffer(string: Self.beginning)
        context.writeAndFlush(wrapOutboundOut(.body(.byteBuffer(buffer))), promise: nil)
    }
}
