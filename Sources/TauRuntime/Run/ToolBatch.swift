internal import Logging
internal import Synchronization
internal import TauCore
internal import Tracing

/// The tool calls of one turn: prepared one after the other, run together, their results given in source order.
///
/// As in Pi, a call that cannot run (unknown tool, bad arguments, not allowed) has its result at once, before those that run.
struct ToolBatch {
    let context: RunContext
    let calls: [ToolCall]
    /// Decisions on calls that were given before a restart, and until when the others may be waited for.
    var resumed: RunRecord.Suspension?
    /// Turns before this one.
    var turns = 0

    private struct Ready: Sendable {
        var call: ToolCall
        var tool: any Tool
        var arguments: JSONObject
    }

    /// Runs them all; every call gets exactly one result, also after a cancellation. Nil: the server stops while calls wait for
    /// a decision, and none of them was run.
    func run() async throws(StoreError) -> [ToolResultMessage]? {
        let toolbox: Toolbox
        do throws(ToolFailure) {
            toolbox = try await context.tools.toolbox(for: context.session.id)
        } catch {
            return try await failAll(error)
        }
        let checks = calls.map { check($0, toolbox) }
        for (call, check) in zip(calls, checks) {
            guard case .failure(let failure) = check, failure.code == .denied else { continue }
            try await context.audit("tool.deny", call, outcome: "denied by a rule")
        }
        guard let decisions = try await decisions(checks) else { return nil }
        let isSequential = calls.contains { toolbox[$0.name]?.definition.isSequential == true }
        var results: [ToolResultMessage] = []
        var ready: [Ready] = []
        for (call, check) in zip(calls, checks) {
            context.publish(.toolExecutionStart(call))
            switch prepare(call, check, decisions) {
            case .failure(let failure): results.append(try await finish(call, .failure(failure)))
            case .success(let prepared) where isSequential:
                results.append(try await finish(call, await execute(prepared)))
            case .success(let prepared): ready.append(prepared)
            }
        }
        return results + (try await runTogether(ready))
    }

    /// Gives every call the same error.
    func failAll(_ failure: ToolFailure) async throws(StoreError) -> [ToolResultMessage] {
        var results: [ToolResultMessage] = []
        for call in calls {
            context.publish(.toolExecutionStart(call))
            results.append(try await finish(call, .failure(failure)))
        }
        return results
    }

    // MARK: Approvals

    /// What people say to the calls that need it; before anything of the batch is run, so that a restart finds either all or none
    /// of it done. Nil: the server stops.
    private func decisions(
        _ checks: [Result<Ready, ToolFailure>]
    ) async throws(StoreError) -> [String: ApprovalDecision]? {
        let asking = zip(calls, checks).filter { call, check in
            guard case .success = check else { return false }
            return policy(of: call) == .ask
        }
        .map(\.0)
        guard !asking.isEmpty, !Task.isCancelled else { return [:] }
        return try await ApprovalWait(context: context, calls: asking, turns: turns).decisions(resumed: resumed)
    }

    private func policy(of call: ToolCall) -> ToolPolicy {
        let listed = context.tools.listings.first { $0.definition.name == call.name }?.policy ?? .deny
        // A tool that is taken away stays so.
        if listed == .deny { return .deny }
        return context.limits.toolRules.policy(of: call, role: context.role, otherwise: listed)
    }

    private func prepare(
        _ call: ToolCall, _ check: Result<Ready, ToolFailure>, _ decisions: [String: ApprovalDecision]
    ) -> Result<Ready, ToolFailure> {
        guard !Task.isCancelled else { return .failure(.aborted) }
        if let decision = decisions[call.id], !decision.isApproved {
            let reason = decision.reason.map { ": " + $0 } ?? ""
            return .failure(ToolFailure(.denied, "The call of \(call.name) was not approved\(reason)"))
        }
        return check
    }

    private func check(_ call: ToolCall, _ toolbox: Toolbox) -> Result<Ready, ToolFailure> {
        let isOffered = context.definitions.contains { $0.name.utf8.elementsEqual(call.name.utf8) }
        guard isOffered, let tool = toolbox[call.name], let schema = context.schemas[call.name] else {
            return .failure(ToolFailure(.unknownTool, "Tool \(call.name) not found"))
        }
        let validation = schema.validate(call.arguments)
        guard validation.problems.isEmpty else {
            context.logger.info(
                "validation_failed",
                metadata: [
                    "tool_name": "\(call.name)", "call_id": "\(call.id)",
                    "errors": "\(validation.problems.map { "\($0.path): \($0.message)" })",
                    "params": "\(Self.shown(call.arguments))",
                ])
            return .failure(
                ArgumentValidation.failure(tool: call.name, problems: validation.problems, received: call.arguments))
        }
        guard policy(of: call) != .deny else {
            return .failure(ToolFailure(.denied, "This call of \(call.name) is not allowed here"))
        }
        return .success(Ready(call: call, tool: tool, arguments: validation.arguments))
    }

    private func execute(_ ready: Ready) async -> Result<ToolOutput, ToolFailure> {
        await traced("tool.\(ready.call.name)") { span in
            let result = await measured(ready)
            if span.isRecording { describe(span, ready, result) }
            return result
        }
    }

    private func describe(_ span: any Span, _ ready: Ready, _ result: Result<ToolOutput, ToolFailure>) {
        var attributes: [TraceAttribute] = [
            .name(SpanName.operation, "execute_tool"), .name(SpanName.toolName, ready.call.name),
            .text(SpanName.toolCallID, ready.call.id), .name("tool.name", ready.call.name),
            .text("tool.params", Self.shown(ready.arguments)), .name("tool.status", Self.status(result)),
        ]
        switch result {
        case .success(let output):
            let length = output.content.reduce(0) { $0 + ($1.text?.utf8.count ?? 0) }
            attributes.append(.integer("tool.result.length", length))
        case .failure(let failure):
            attributes += [
                .integer("tool.result.length", failure.message.utf8.count),
                .name(SpanName.errorType, failure.code.rawValue),
            ]
            span.recordError(failure)
            span.setStatus(SpanStatus(code: .error, message: failure.code.rawValue))
        }
        span.add(attributes)
    }

    private func measured(_ ready: Ready) async -> Result<ToolOutput, ToolFailure> {
        guard !Task.isCancelled else { return .failure(.aborted) }
        let isOver = Mutex(false)
        let invocation = ToolInvocation(callID: ready.call.id, arguments: ready.arguments) { [context] partial in
            isOver.withLock { isOver in
                if !isOver { context.publish(.toolExecutionUpdate(ready.call, partial: partial)) }
            }
        }
        defer { isOver.withLock { $0 = true } }
        let start = ContinuousClock.now
        let result = await limited(ready, invocation)
        let seconds = (ContinuousClock.now - start).seconds
        Measurements.toolDuration.observe(seconds, ready.call.name)
        context.logger.info(
            "tool_execution",
            metadata: [
                "tool_name": "\(ready.call.name)", "call_id": "\(ready.call.id)",
                "params": "\(Self.shown(ready.arguments))", "duration_ms": "\(Int(seconds * 1000))",
                "success": "\(Self.status(result) == "success")", "status": "\(Self.status(result))",
            ])
        return result
    }

    /// As it is counted and logged.
    private static func status(_ result: Result<ToolOutput, ToolFailure>) -> String {
        switch result {
        case .success: "success"
        case .failure(let failure): failure.code.rawValue
        }
    }

    /// The beginning of a call's arguments, for the log.
    private static func shown(_ arguments: JSONObject) -> String {
        let text = JSONValue.object(arguments).text
        guard text.utf8.count > maxShownBytes else { return text }
        return String(decoding: text.utf8.prefix(maxShownBytes), as: UTF8.self) + "…"
    }

    private static let maxShownBytes = 1024

    /// The bounds that hold for every tool, whatever its own are. A tool that does not heed its cancellation is waited for.
    private func limited(_ ready: Ready, _ invocation: ToolInvocation) async -> Result<ToolOutput, ToolFailure> {
        await withTaskGroup(of: Result<ToolOutput, ToolFailure>?.self) { group in
            group.addTask {
                do throws(ToolFailure) {
                    return .success(try await ready.tool.run(invocation).bounded(to: context.limits.maxToolResultBytes))
                } catch {
                    return .failure(error)
                }
            }
            group.addTask {
                // Nil if the call was over first.
                do { try await Task.sleep(for: .seconds(context.limits.maxToolSeconds)) } catch { return nil }
                let limit = context.limits.maxToolSeconds
                return .failure(ToolFailure(.timedOut, "The tool was stopped after \(limit) seconds"))
            }
            var first: Result<ToolOutput, ToolFailure>?
            while first == nil, let result = await group.next() { first = result ?? first }
            group.cancelAll()
            return first ?? .failure(.aborted)
        }
    }

    private func runTogether(_ ready: [Ready]) async throws(StoreError) -> [ToolResultMessage] {
        let outcome = await withTaskGroup(
            of: (Int, Result<ToolOutput, ToolFailure>).self
        ) { group -> Result<[ToolResultMessage], StoreError> in
            var started = 0
            func startNext() {
                guard started < ready.count else { return }
                let index = started
                started += 1
                group.addTask { (index, await execute(ready[index])) }
            }
            for _ in 0..<min(ready.count, context.limits.maxParallelTools) { startNext() }
            var done: [Int: Result<ToolOutput, ToolFailure>] = [:]
            var results: [ToolResultMessage] = []
            for await (index, result) in group {
                startNext()
                done[index] = result
                while let next = done.removeValue(forKey: results.count) {
                    do throws(StoreError) {
                        results.append(try await finish(ready[results.count].call, next))
                    } catch {
                        group.cancelAll()
                        return .failure(error)
                    }
                }
            }
            return .success(results)
        }
        return try outcome.get()
    }

    private func finish(
        _ call: ToolCall, _ result: Result<ToolOutput, ToolFailure>
    ) async throws(StoreError) -> ToolResultMessage {
        let output: ToolOutput
        let isError: Bool
        switch result {
        case .success(let value): (output, isError) = (value, false)
        case .failure(let failure):
            (output, isError) = (ToolOutput(text: failure.message, details: failure.details), true)
            if failure.code == .quotaExceeded {
                context.run.update {
                    $0.failure = Run.Failure(
                        code: "workspace_full", message: "The run was ended because its workspace holds too much.")
                }
            }
        }
        let isKnown = context.schemas[call.name] != nil
        Measurements.toolCalls.add(1, isKnown ? call.name : Measurements.other, Self.status(result))
        context.publish(.toolExecutionEnd(call, result: output, isError: isError))
        let message = ToolResultMessage(
            toolCallID: call.id, toolName: call.name, content: output.content, details: output.details,
            isError: isError, timestamp: context.environment.now())
        context.publish(.messageStart(.toolResult(message)))
        try await context.append(.toolResult(message))
        return message
    }
}
