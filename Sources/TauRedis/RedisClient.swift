internal import NIOCore
internal import NIOPosix
internal import NIOSSL
internal import Synchronization

/// A Redis server over one connection, which is made when it is first needed and again when it has broken. Commands of any number of
/// tasks go out together as they come.
package final class RedisClient: Sendable {
    /// What goes on, for metrics.
    package struct Status: Sendable, Hashable {
        package var isConnected = false
        package var pending = 0
        /// Since the start.
        package var commands = 0
        package var failures = 0
        package var connections = 0
    }

    private enum Connection {
        case none
        case connecting([CheckedContinuation<Result<any Channel, RedisError>, Never>])
        case ready(any Channel)
        /// No attempt before this time.
        case waiting(NIODeadline, RedisError)
        case closed
    }

    private struct State {
        var connection = Connection.none
        var failedAttempts = 0
        var counts = Status()
    }

    private let configuration: RedisConfiguration
    private let group: any EventLoopGroup
    private let state = Mutex(State())

    package init(_ configuration: RedisConfiguration) {
        self.configuration = configuration
        group = MultiThreadedEventLoopGroup.singleton
    }

    package var status: Status {
        state.withLock { state in
            var status = state.counts
            if case .ready = state.connection { status.isConnected = true }
            return status
        }
    }

    // MARK: Commands

    /// Sends a command and waits for its reply, at most for so long. A command whose caller has given up may still be executed.
    package func command(_ arguments: [[UInt8]], milliseconds: Int) async throws(RedisError) -> RedisReply {
        let isAllowed = state.withLock { state in
            guard state.counts.pending < configuration.maxPendingCommands else { return false }
            state.counts.pending += 1
            state.counts.commands += 1
            return true
        }
        guard isAllowed else { throw RedisError(.overloaded, "too many commands wait for Redis") }
        let result = await firstOf(arguments, milliseconds)
        state.withLock { state in
            state.counts.pending -= 1
            if case .failure = result { state.counts.failures += 1 }
        }
        return try result.get()
    }

    /// The reply, or the end of the caller's patience.
    private func firstOf(_ arguments: [[UInt8]], _ milliseconds: Int) async -> Result<RedisReply, RedisError> {
        let answer = Answer()
        let timer = group.any().scheduleTask(in: .milliseconds(Int64(milliseconds))) {
            answer.settle(.failure(RedisError(.timedOut, "Redis did not answer in \(milliseconds) ms")))
        }
        defer { timer.cancel() }
        return await withTaskCancellationHandler {
            switch await channel(until: answer) {
            case .failure(let error): answer.settle(.failure(error))
            case .success(let channel):
                let command = RedisCommand(arguments: arguments) { answer.settle($0) }
                if channel.isActive {
                    channel.write(command, promise: nil)
                } else {
                    answer.settle(
                        .failure(RedisError(.connectionLost(wasSent: false), "the connection to Redis broke")))
                }
            case nil: break
            }
            return await answer.wait()
        } onCancel: {
            answer.settle(.failure(RedisError(.cancelled, "the command was cancelled")))
        }
    }

    package func get(_ key: String, milliseconds: Int) async throws(RedisError) -> [UInt8]? {
        switch try await command([Array("GET".utf8), Array(key.utf8)], milliseconds: milliseconds) {
        case .bytes(let bytes): return bytes
        case .null: return nil
        default: throw RedisError(.badReply, "Redis answered GET with something else than a text")
        }
    }

    /// The value is gone after so many seconds.
    package func set(
        _ key: String, _ value: [UInt8], seconds: Int, milliseconds: Int
    ) async throws(RedisError) {
        _ = try await command(
            [Array("SET".utf8), Array(key.utf8), value, Array("EX".utf8), Array("\(seconds)".utf8)],
            milliseconds: milliseconds)
    }

    package func delete(_ keys: [String], milliseconds: Int) async throws(RedisError) {
        guard !keys.isEmpty else { return }
        _ = try await command([Array("DEL".utf8)] + keys.map { Array($0.utf8) }, milliseconds: milliseconds)
    }

    package func ping(milliseconds: Int) async throws(RedisError) {
        _ = try await command([Array("PING".utf8)], milliseconds: milliseconds)
    }

    /// Ends the connection; commands are refused from now on.
    package func close() async {
        let channel = state.withLock { state -> (any Channel)? in
            defer { state.connection = .closed }
            if case .ready(let channel) = state.connection { return channel }
            return nil
        }
        try? await channel?.close()
    }

    // MARK: Connecting

    /// The connection, which is made if there is none; nil where the caller is not waited for any more.
    private func channel(until answer: Answer) async -> Result<any Channel, RedisError>? {
        enum Step {
            case use(any Channel)
            case refuse(RedisError)
            case connect
            case join
        }
        func step(_ state: inout State) -> Step {
            switch state.connection {
            case .ready(let channel) where channel.isActive: return .use(channel)
            case .closed: return .refuse(RedisError(.unavailable, "the connection to Redis is closed"))
            case .connecting: return .join
            case .waiting(let time, let error) where NIODeadline.now() < time: return .refuse(error)
            case .none, .ready, .waiting:
                state.connection = .connecting([])
                return .connect
            }
        }
        let first = state.withLock { step(&$0) }
        switch first {
        case .use(let channel): return .success(channel)
        case .refuse(let error): return .failure(error)
        case .connect: beginConnecting()
        case .join: break
        }
        let result = await withCheckedContinuation { continuation in
            let known = state.withLock { state -> Result<any Channel, RedisError>? in
                if case .connecting(let waiting) = state.connection {
                    state.connection = .connecting(waiting + [continuation])
                    return nil
                }
                if case .ready(let channel) = state.connection { return .success(channel) }
                if case .waiting(_, let error) = state.connection { return .failure(error) }
                return .failure(RedisError(.unavailable, "the connection to Redis is closed"))
            }
            if let known { continuation.resume(returning: known) }
        }
        return answer.isSettled ? nil : result
    }

    /// The attempt belongs to the event loop, and ends in `finishConnecting` within its time limit.
    private func beginConnecting() {
        let bootstrap = ClientBootstrap(group: group)
            .connectTimeout(.milliseconds(Int64(configuration.connectTimeoutMilliseconds)))
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelInitializer { [configuration] channel in
                channel.eventLoop.makeCompletedFuture {
                    if configuration.usesTLS {
                        try channel.pipeline.syncOperations.addHandler(try Self.tlsHandler(configuration))
                    }
                    try channel.pipeline.syncOperations.addHandler(
                        RedisChannelHandler(maxReplyBytes: configuration.maxReplyBytes))
                }
            }
        bootstrap.connect(host: configuration.host, port: configuration.port).whenComplete { result in
            switch result {
            case .failure(let error):
                self.finishConnecting(
                    .failure(RedisError(.unavailable, "Redis cannot be reached: \(type(of: error))")))
            case .success(let channel): self.greet(channel, isNew: self.configuration.protocolVersion != 2)
            }
        }
    }

    private static func tlsHandler(_ configuration: RedisConfiguration) throws -> NIOSSLClientHandler {
        var tls = TLSConfiguration.makeClientConfiguration()
        if let path = configuration.trustRootsPath { tls.trustRoots = .file(path) }
        let isAddress = (try? SocketAddress(ipAddress: configuration.host, port: 0)) != nil
        return try NIOSSLClientHandler(
            context: NIOSSLContext(configuration: tls), serverHostname: isAddress ? nil : configuration.host)
    }

    /// Says who we are. Servers before version 6 do not know HELLO; those are asked in the old way.
    private func greet(_ channel: any Channel, isNew: Bool) {
        let timer = channel.eventLoop.scheduleTask(
            in: .milliseconds(Int64(configuration.connectTimeoutMilliseconds))
        ) {
            channel.close(promise: nil)
        }
        var commands: [[String]] = []
        let user = configuration.user ?? "default"
        if isNew {
            commands.append(["HELLO", "3"] + (configuration.password.map { ["AUTH", user, $0] } ?? []))
        } else if let password = configuration.password {
            commands.append(configuration.user == nil ? ["AUTH", password] : ["AUTH", user, password])
        }
        if configuration.database != 0 { commands.append(["SELECT", "\(configuration.database)"]) }
        commands.append(["PING"])
        let count = commands.count
        for (index, command) in commands.enumerated() {
            let isLast = index == count - 1
            let isHello = isNew && index == 0
            let arguments = command.map { Array($0.utf8) }
            channel.write(
                RedisCommand(arguments: arguments) { result in
                    if case .failure(let error) = result {
                        timer.cancel()
                        if isHello, error.code == .refused("ERR"), self.configuration.protocolVersion == nil {
                            return self.greet(channel, isNew: false)
                        }
                        self.finishConnecting(.failure(RedisError(.unavailable, error.message)))
                        channel.close(promise: nil)
                    } else if isLast {
                        timer.cancel()
                        self.finishConnecting(.success(channel))
                    }
                }, promise: nil)
        }
        channel.closeFuture.whenComplete { _ in
            self.finishConnecting(
                .failure(RedisError(.unavailable, "the Redis server has closed the connection")), of: channel)
        }
    }

    /// The first outcome of an attempt counts. `channel` is one that has ended.
    private func finishConnecting(_ result: Result<any Channel, RedisError>, of channel: (any Channel)? = nil) {
        let (waiting, unwanted) = state.withLock {
            state -> ([CheckedContinuation<Result<any Channel, RedisError>, Never>], (any Channel)?) in
            switch (state.connection, result) {
            case (.connecting(let waiting), .success(let channel)):
                state.connection = .ready(channel)
                state.failedAttempts = 0
                state.counts.connections += 1
                return (waiting, nil)
            case (.connecting(let waiting), .failure(let error)):
                let backoff = min(
                    configuration.maxBackoffMilliseconds,
                    configuration.minBackoffMilliseconds << min(state.failedAttempts, 16))
                state.failedAttempts += 1
                let wait = Int.random(in: (backoff / 2)...max(1, backoff))
                state.connection = .waiting(.now() + .milliseconds(Int64(wait)), error)
                return (waiting, nil)
            case (.ready(let ready), .failure) where ready === channel:
                state.connection = .none
                return ([], nil)
            case (.closed, .success(let channel)): return ([], channel)
            default: return ([], nil)
            }
        }
        for continuation in waiting { continuation.resume(returning: result) }
        unwanted?.close(promise: nil)
    }
}

/// One command's outcome: the first one counts.
private final class Answer: Sendable {
    private struct State {
        var result: Result<RedisReply, RedisError>?
        var continuation: CheckedContinuation<Result<RedisReply, RedisError>, Never>?
    }

    private let state = Mutex(State())

    var isSettled: Bool { state.withLock { $0.result != nil } }

    func settle(_ result: Result<RedisReply, RedisError>) {
        let continuation = state.withLock { state -> CheckedContinuation<Result<RedisReply, RedisError>, Never>? in
            guard state.result == nil else { return nil }
            state.result = result
            defer { state.continuation = nil }
            return state.continuation
        }
        continuation?.resume(returning: result)
    }

    func wait() async -> Result<RedisReply, RedisError> {
        await withCheckedContinuation { continuation in
            let result = state.withLock { state in
                if state.result == nil { state.continuation = continuation }
                return state.result
            }
            if let result { continuation.resume(returning: result) }
        }
    }
}
