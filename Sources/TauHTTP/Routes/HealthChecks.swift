internal import HTTPTypes
internal import Hummingbird
internal import TauCore
internal import TauRuntime

/// `/health`: whether the parts answer.
final class HealthChecks: Sendable {
    private let runtime: AgentRuntime
    private let parts: [PartMonitor]
    private let tools: PartMonitor

    init(runtime: AgentRuntime, configuration: EdgeConfiguration) {
        self.runtime = runtime
        parts = configuration.healthParts.map { PartMonitor($0, now: configuration.now) }
        // Real attempts to get out of the sandbox, which cost some processes.
        tools = PartMonitor(
            HealthPart("tools", isRequired: true, timeout: .seconds(60)) { await runtime.tools.problem() },
            now: configuration.now)
    }

    /// Makes the checks that are asked for, until the task is cancelled.
    func work() async {
        await withDiscardingTaskGroup { group in
            for monitor in parts + [tools] { group.addTask { await monitor.work() } }
        }
    }

    private func findings() async -> [(part: HealthPart, finding: PartMonitor.Finding)] {
        await withTaskGroup(of: (Int, PartMonitor.Finding).self) { group in
            for (index, monitor) in parts.enumerated() { group.addTask { (index, await monitor.finding()) } }
            var findings: [(Int, PartMonitor.Finding)] = []
            for await finding in group { findings.append(finding) }
            return findings.sorted { $0.0 < $1.0 }.map { (parts[$0.0].part, $0.1) }
        }
    }

    /// Each part, by its name. One that the server can do without does not make it ill.
    func overview(_ request: Request, _ context: EdgeContext) async throws -> Response {
        let findings = await findings()
        let isWell = findings.allSatisfy { $0.finding.problem == nil || !$0.part.isRequired }
        let isVerbose = request.uri.queryParameters["verbose"] == "1"
        return .json(isWell ? .ok : .serviceUnavailable) { writer in
            writer.object { writer in
                for (part, finding) in findings { writer.member(part.name, finding.problem == nil) }
                guard isVerbose else { return }
                writer.key("details")
                writer.object { writer in
                    for (part, finding) in findings {
                        writer.key(part.name)
                        writer.object { writer in
                            writer.member("milliseconds", Int(finding.milliseconds))
                            writer.member("reason", orNull: finding.problem)
                        }
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
        for (part, finding) in await findings() where part.isRequired {
            if let problem = finding.problem { throw Problem(.storageUnavailable, problem, retryAfter: 5) }
        }
        if request.uri.queryParameters["deep"] == "1", let problem = await tools.finding().problem {
            throw Problem(.toolsUnavailable, problem, retryAfter: 60)
        }
        return .json { writer in writer.object { $0.member("ready", true) } }
    }
}
