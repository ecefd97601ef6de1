import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import TauCore

@testable import TauProviders

let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

/// Runs a model server on a free port while `test` runs, and hands over the address.
func withModelServer(
    _ respond: @escaping @Sendable (Request) async throws -> Response, _ test: (String) async throws -> Void
) async throws {
    let (ports, port) = AsyncStream.makeStream(of: Int.self)
    let application = Application(
        responder: CallbackResponder { (request: Request, context: ConnectionContext) in
            var head = request.head
            head.headerFields[.clientPort] = context.clientPort
            return try await respond(Request(head: head, body: request.body))
        },
        configuration: .init(address: .hostname("127.0.0.1", port: 0)),
        onServerRunning: { port.yield($0.localAddress?.port ?? 0) }, logger: quiet)
    try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { try await application.run() }
        for await port in ports {
            try await test("http://127.0.0.1:\(port)")
            break
        }
        group.cancelAll()
    }
}

/// Tells which connection a request came over.
private struct ConnectionContext: RequestContext {
    var coreContext: CoreRequestContextStorage
    let clientPort: String

    init(source: ApplicationRequestContextSource) {
        coreContext = .init(source: source)
        clientPort = String(source.channel.remoteAddress?.port ?? 0)
    }
}

extension HTTPField.Name {
    /// Added by the fake server itself.
    static var clientPort: HTTPField.Name { .init("x-client-port") ?? .from }
}

/// The outcome of one model call.
struct CallOutcome: Sendable {
    var content: [ContentBlock] = []
    var reply: ModelReply?
    var error: ProviderError?
}

/// Asks the provider of that name, with the addresses of both set to the same server.
func call(
    _ provider: String, at address: String, key: String? = nil,
    configure: (inout ProvidersConfiguration) -> Void = { _ in },
    onEvent: (ModelEvent) -> Void = { _ in }
) async throws -> CallOutcome {
    var configuration = ProvidersConfiguration()
    configuration.use("openai", key: key, baseURL: address)
    configuration.use("anthropic", key: key, baseURL: address)
    configure(&configuration)
    let catalog = try ProviderCatalog(configuration, logger: quiet)
    var outcome = CallOutcome()
    var assembler = MessageAssembler()
    let model = catalog.model(ModelReference(provider: provider, id: "some-model")) ?? BuiltInModels.scripted
    if let provider = catalog.provider(named: provider) {
        do throws(ProviderError) {
            outcome.reply = try await provider.stream(request(model, [user(.text("Hi"))])) { event in
                assembler.apply(event)
                onEvent(event)
            }
        } catch {
            outcome.error = error
        }
    }
    outcome.content = assembler.content
    await catalog.shutdown()
    return outcome
}

extension Response {
    static func eventStream(_ events: String) -> Response {
        Response(
            status: .ok, headers: [.contentType: "text/event-stream"],
            body: ResponseBody(byteBuffer: ByteBuffer(string: events)))
    }

    static func text(_ status: HTTPResponse.Status, _ text: String, type: String = "application/json") -> Response {
        Response(
            status: status, headers: [.contentType: type], body: ResponseBody(byteBuffer: ByteBuffer(string: text)))
    }

    /// Sends the text and then does something else with the connection.
    static func eventStream(
        _ events: String, then body: @escaping @Sendable () async throws -> Void
    ) -> Response {
        eventStream(bytes: Array(events.utf8), then: body)
    }

    static func eventStream(
        bytes: [UInt8], then body: @escaping @Sendable () async throws -> Void
    ) -> Response {
        Response(
            status: .ok, headers: [.contentType: "text/event-stream"],
            body: ResponseBody { writer in
                try await writer.write(ByteBuffer(bytes: bytes))
                try await body()
                try await writer.finish(nil)
            })
    }
}

/// Waits until the task is cancelled.
func waitForEver() async throws {
    let (stream, _) = AsyncStream.makeStream(of: Never.self)
    for await _ in stream {}
    try Task.checkCancellation()
}

let chatStart = #"data: {"id":"c1","choices":[{"index":0,"delta":{"content":"Hello"}}]}"# + "\n\n"
let chatEnd = #"data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"# + "\n\ndata: [DONE]\n\n"
