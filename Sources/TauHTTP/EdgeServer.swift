internal import Hummingbird
internal import HummingbirdCore
package import Logging
internal import NIOCore
internal import ServiceLifecycle
internal import Synchronization
package import TauCore
package import TauRuntime

/// The HTTP server: a service that runs until its group shuts down.
package struct EdgeServer: Service {
    private let application: Application<RouterResponder<EdgeContext>>
    private let health: HealthChecks

    /// Makes the server; it listens once `run` is called. `onListening` gets the port, which differs from the one asked for if that is 0.
    package init(
        runtime: AgentRuntime, authenticator: any Authenticator, idempotency: any IdempotencyStore, host: String,
        port: Int,
        administration: Administration?, configuration: EdgeConfiguration, logger: Logger,
        onListening: @escaping @Sendable (Int) async -> Void
    ) {
        let health = HealthChecks(runtime: runtime, configuration: configuration)
        self.health = health
        let streams = StreamPlaces(maxPerOwner: configuration.maxStreamsPerUser)
        let router = APIRouter(
            runtime: runtime, authenticator: authenticator,
            table: RouteTable(
                runtime: runtime, health: health,
                administration: administration, streams: streams, configuration: configuration),
            streams: streams,
            idempotency: IdempotentRequests(
                store: idempotency, maxAnswerBytes: configuration.maxKeptAnswerBytes,
                identifiers: configuration.identifiers, now: configuration.now),
            configuration: configuration)
        let slow = SlowClientHandler.Limits(
            headSeconds: Int64(configuration.headSeconds), idleSeconds: Int64(configuration.idleSeconds))
        let http = HTTP1Channel.Configuration(
            additionalChannelHandlers: [SlowClientHandler(limits: slow), ClientPresence()],
            httpDecoderConfiguration: .init(
                maxHeaderFieldSize: configuration.maxHeadBytes, maxHeaderListSize: configuration.maxHeadBytes,
                maxHeaderFieldCount: configuration.maxHeadFields))
        let certificate = configuration.certificate
        let server = HTTPServerBuilder { responder in
            let channel = HTTP1Channel(responder: responder, configuration: http)
            return certificate.map { EncryptedChannel(base: channel, certificate: $0) } ?? channel
        }
        application = Application(
            router: router.router(), server: server,
            configuration: ApplicationConfiguration(
                address: .hostname(host, port: port),
                availableConnectionsDelegate: MaximumAvailableConnections(configuration.maxConnections)),
            onServerRunning: { channel in await onListening(channel.localAddress?.port ?? port) }, logger: logger)
    }

    package func run() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await health.work() }
            try await application.run()
            group.cancelAll()
        }
    }
}
