internal import ServiceLifecycle
internal import TauLimits

/// Runs `body` against a server of its own in this process, on a free loopback port; ends it afterwards.
///
/// Commands speak to it as to any server, so there is one way for everything; its key is made for it alone.
func withEmbeddedServer<Result: Sendable>(
    dataDirectory: String?, configurationFile: String?,
    _ body: @escaping @Sendable (ServerAddress) async throws -> Result
) async throws -> Result {
    var overrides = ServerConfiguration.Overrides()
    overrides.configurationFile = configurationFile
    overrides.set("data.dir", dataDirectory)
    var configuration = try await ServerConfiguration.load(overrides)
    configuration.host = "127.0.0.1"
    configuration.port = 0
    configuration.logLevel = "error"
    let key = AdminKey.generate()
    configuration.adminKey = key
    let composition = try await Composition.make(configuration)
    let (ports, continuation) = AsyncStream.makeStream(of: Int.self, bufferingPolicy: .bufferingOldest(1))

    return try await withThrowingTaskGroup(of: Result?.self) { group in
        group.addTask {
            defer { continuation.finish() }
            try await composition.serve(signals: []) { continuation.yield($0) }
            return nil
        }
        group.addTask {
            for await port in ports {
                return try await body(ServerAddress(url: "http://127.0.0.1:\(port)", key: key))
            }
            return nil
        }
        defer { group.cancelAll() }
        while let result = try await group.next() {
            if let result { return result }
        }
        throw CancellationError()
    }
}
