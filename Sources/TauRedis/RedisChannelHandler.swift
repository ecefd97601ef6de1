internal import NIOCore

/// One connection, on its event loop: sends commands as they come and gives each its reply, in order.
final class RedisChannelHandler: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = RedisCommand
    typealias OutboundOut = ByteBuffer

    private var parser: RedisReplyParser
    private var pending = CircularBuffer<@Sendable (Result<RedisReply, RedisError>) -> Void>()
    private var failure: RedisError?
    private var hasUnflushed = false

    init(maxReplyBytes: Int) { parser = RedisReplyParser(maxBytes: maxReplyBytes) }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        let command = unwrapOutboundIn(data)
        if let failure { return command.reply(.failure(failure)) }
        pending.append(command.reply)
        var buffer = context.channel.allocator.buffer(capacity: command.byteCount)
        command.write(to: &buffer)
        context.write(wrapOutboundOut(buffer), promise: promise)
        // What comes in the same turn of the loop goes out together.
        guard !hasUnflushed else { return }
        hasUnflushed = true
        let loopBound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        context.eventLoop.execute {
            let (handler, context) = loopBound.value
            handler.hasUnflushed = false
            context.flush()
        }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        parser.add(unwrapInboundIn(data).readableBytesView)
        do throws(RedisError) {
            while let reply = try parser.next() {
                if case .push = reply { continue }
                guard let take = pending.popFirst() else {
                    throw RedisError(.badReply, "the Redis server said what nobody asked for")
                }
                if case .error(let text) = reply {
                    let word = String(text.prefix { $0 != " " })
                    take(.failure(RedisError(.refused(word), "Redis refused a command: \(word)")))
                } else {
                    take(.success(reply))
                }
            }
        } catch {
            fail(error)
            context.close(promise: nil)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        fail(RedisError(.connectionLost(wasSent: true), "the connection to Redis broke: \(type(of: error))"))
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        fail(RedisError(.connectionLost(wasSent: true), "the Redis server has closed the connection"))
        context.fireChannelInactive()
    }

    private func fail(_ error: RedisError) {
        failure = failure ?? error
        while let take = pending.popFirst() { take(.failure(error)) }
    }
}

/// A command, and who gets its reply.
struct RedisCommand: Sendable {
    var arguments: [[UInt8]]
    var reply: @Sendable (Result<RedisReply, RedisError>) -> Void

    var byteCount: Int { arguments.reduce(16) { $0 + $1.count + 16 } }

    func write(to buffer: inout ByteBuffer) {
        buffer.writeString("*\(arguments.count)\r\n")
        for argument in arguments {
            buffer.writeString("$\(argument.count)\r\n")
            buffer.writeBytes(argument)
            buffer.writeString("\r\n")
        }
    }
}
