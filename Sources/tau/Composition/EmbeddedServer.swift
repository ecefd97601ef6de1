internal import Logging
internal import ServiceLifecycle
internal import TauLimits

/// Runs `body` against a server of its own in this process, on a free loopback port; ends it afterwards.
///
/// Commands speak to it as to any server, so there is one way for everything; its key is made for it alone.
func withEmbeddedServer<Result: Sendable>(
    _ configuration: ServerConfiguration, _ body: @escaping @Sendable (ServerAddress) async throws -> Result
) async throws -> Result {
    var configuration = configuration
    configuration.host = "127.0.0.1"
    configuration.port = 0
    configuration.certificateFiles = nil
    configuration.log.level = .error
    let key = AdminKey.generate()
    configuration.adminKey = key
    let composition = try await Composition.make(configuration)
    let (ports, portContinuation) = AsyncStream.makeStream(of: Int.self, bufferingPolicy: .bufferingOldest(1))
    // Finished, not fed: its end is the signal to stop.
    let (end, endContinuation) = AsyncStream.makeStream(of: Never.self)

    return try await withThrowingTaskGroup(of: Result?.self) { group in
        group.addTask {
            defer { portContinuation.finish() }
            try await composition.serve(signals: [], until: { for await _ in end {} }) { portContinuation.yield($0) }
            return nil
        }
        group.addTask {
            defer { endContinuation.finish() }
            for await port in ports {
                return try await body(ServerAddress(url: "http://127.0.0.1:\(port)", key: key))
            }
            return nil
        }
        var result: Result?
        // Both end on their own: the server when the body is done, the body when there is no server.
        for try await value in group { result = value ?? result }
        guard let result else { throw CancellationError() }
        return result
    }
}
