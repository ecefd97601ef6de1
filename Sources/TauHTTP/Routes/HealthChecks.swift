internal import HTTPTypes
internal import Hummingbird
internal import TauCore
internal import TauRuntime

/// `/health`: whether the parts answer. Results are kept for a second, so that probes cannot load the parts.
actor HealthChecks {
    private struct Result {
        var reason: String?
        var milliseconds: Int64
        var time: Timestamp
    }

    private let runtime: AgentRuntime
    private let configuration: EdgeConfiguration
    private var storage: Result?
    private var tools: Result?
    private let toolChecks = FairQueue<Int>(places: 1, maxWaiting: 100)

    init(runtime: AgentRuntime, configuration: EdgeConfiguration) {
        self.runtime = runtime
        self.configuration = configuration
    }

    func overview(_ request: Request, _ context: EdgeContext) async throws -> Response {
        let storage = await checkStorage()
        let isVerbose = request.uri.queryParameters["verbose"] == "1"
        return .json(storage.reason == nil ? .ok : .serviceUnavailable) { writer in
            writer.object { writer in
                writer.member(configuration.storagePart, storage.reason == nil)
                guard isVerbose else { return }
                writer.key("details")
                writer.object { writer in
                    writer.key(configuration.storagePart)
                    writer.object { writer in
                        writer.member("milliseconds", Int(storage.milliseconds))
                        writer.member("reason", orNull: storage.reason)
                    }
                }
            }
        }
    }

    /// The process answers; whether it should get work is another question.
    func live(_ request: Request, _ context: EdgeContext) async throws -> Response {
        .json { writer in writer.object { $0.member("live", true) } }
    }

    func ready(_ request: Request, _ context: EdgeContext) async throws -> Response {
        if runtime.isDraining { throw Problem(.draining, "The server is shutting down.", retryAfter: 5) }
        if let reason = await checkStorage().reason { throw Problem(.storageUnavailable, reason, retryAfter: 5) }
        if request.uri.queryParameters["deep"] == "1", let problem = try await checkTools() {
            throw Problem(.toolsUnavailable, problem, retryAfter: 60)
        }
        return .json { writer in writer.object { $0.member("ready", true) } }
    }

    /// Real attempts to get out of the sandbox, which cost some processes: one try at a time and a second, whoever asks.
    private func checkTools() async throws -> String? {
        do throws(FairQueue<Int>.Refusal) {
            try await toolChecks.enter(0)
        } catch {
            throw Problem(.rateLimited, "Too many checks of the tools at once; try again later", retryAfter: 1)
        }
        defer { toolChecks.leave() }
        let start = configuration.now()
        if let tools, start.milliseconds - tools.time.milliseconds < 1000 { return tools.reason }
        let reason = await runtime.tools.problem()
        let end = configuration.now()
        tools = Result(reason: reason, milliseconds: end.milliseconds - start.milliseconds, time: end)
        return reason
    }

    private func checkStorage() async -> Result {
        let start = configuration.now()
        if let storage, start.milliseconds - storage.time.milliseconds < 1000 { return storage }
        let reason = await withTaskGroup(of: String?.self) { group in
            group.addTask { [runtime] in
                do throws(StoreError) {
                    try await runtime.checkStorage()
                    return nil
                } catch {
                    return error.message
                }
            }
            group.addTask { [configuration] in
                // A cancelled sleep ends early, and then its answer is not used.
                try? await Task.sleep(for: configuration.healthTimeout)
                return "the storage did not answer in \(configuration.healthTimeout)"
            }
            defer { group.cancelAll() }
            return await group.next() ?? nil
        }
        let end = configuration.now()
        let result = Result(reason: reason, milliseconds: end.milliseconds - start.milliseconds, time: end)
        storage = result
        return result
    }
}
