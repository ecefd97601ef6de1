internal import TauCore
internal import TauSystem

/// Runs shell commands in the sandbox.
struct BashTool: Tool {
    let workspace: Workspace
    let sandbox: Sandbox
    /// Shared by all sessions.
    let session: SessionID
    let slots: FairQueue<SessionID>

    var definition: ToolDefinition { Self.definition(workspace.limits) }

    static func definition(_ limits: ToolLimits) -> ToolDefinition {
        ToolDefinition(
            name: "bash",
            description: """
                Run a bash command in \(WorkspacePath.mountPoint) and return what it writes to standard output and \
                standard error. Of long output the last \(limits.maxLines) lines or \
                \(ByteCount.text(limits.maxBytes)), whichever is less, and some of its beginning are returned; all of it is \
                kept in a file. There is no network, only \
                \(WorkspacePath.mountPoint) and /tmp can be written, /tmp is empty for each command, and whatever \
                still runs when the command ends is stopped.
                """,
            parameters: .arguments(
                [
                    "command": .argument("string", "The bash command"),
                    "timeout": .argument(
                        "number",
                        """
                        Seconds after which the command is stopped; \(limits.commandTimeoutSeconds) if left out, \
                        at most \(limits.longestTimeoutSeconds)
                        """),
                ], required: ["command"]))
    }

    func run(_ invocation: ToolInvocation) async throws(ToolFailure) -> ToolOutput {
        let command = try Self.command(invocation.arguments, workspace.limits)
        let timeout = try Self.timeoutSeconds(invocation.arguments, workspace.limits)
        try await slots.enterForTool(session)
        defer { slots.leave() }
        let execution: CommandExecution<CommandOutput>
        do throws(SystemError) {
            execution = try .shell(
                command, timeoutSeconds: timeout, sandbox: sandbox, workspace: workspace, report: invocation.report)
        } catch {
            throw ToolFailure(.failed, "The command could not be started: \(error.reason)")
        }
        return try Self.answer(await execution.run(), timeoutSeconds: timeout, workspace.limits)
    }

    // MARK: Arguments

    private static func command(_ arguments: JSONObject, _ limits: ToolLimits) throws(ToolFailure) -> String {
        let command = try arguments.requiredString("command")
        guard !command.utf8.contains(0) else {
            throw ToolFailure(.invalidArguments, "The command contains a NUL character")
        }
        guard command.utf8.count <= limits.maxCommandBytes else {
            throw ToolFailure(
                .invalidArguments,
                "The command is longer than \(ByteCount.text(limits.maxCommandBytes)); write it to a file and run that")
        }
        if limits.refusesDangerousCommands, let problem = DangerousCommands.problem(in: command) {
            throw ToolFailure(.denied, "The command was not run: \(problem)")
        }
        return command
    }

    private static func timeoutSeconds(_ arguments: JSONObject, _ limits: ToolLimits) throws(ToolFailure) -> Double {
        guard let seconds = try arguments.optionalDouble("timeout") else { return Double(limits.commandTimeoutSeconds) }
        guard seconds > 0 else {
            throw ToolFailure(.invalidArguments, "The argument 'timeout' must be more than 0 seconds")
        }
        return min(seconds, Double(limits.longestTimeoutSeconds))
    }

    // MARK: Answer

    private static func answer(
        _ outcome: CommandExecution<CommandOutput>.Outcome, timeoutSeconds: Double, _ limits: ToolLimits
    ) throws(ToolFailure) -> ToolOutput {
        let output = outcome.output
        let notes = notes(outcome, limits).map { "\n\n[\($0)]" }.joined()
        let shown = shownText(output)
        let text = shown.isEmpty && !notes.isEmpty ? "(no output)" + notes : shown + notes
        func failure(_ code: ToolFailure.Code, _ line: String) -> ToolFailure {
            ToolFailure(code, text.isEmpty ? line : text + "\n\n" + line, details: output.details)
        }
        switch outcome.end {
        case .exited(.code(0)):
            return ToolOutput(text: text.isEmpty ? "(no output)" : text, details: output.details)
        case .exited(let status):
            throw failure(.failed, "Command exited with code \(status.shellCode)")
        case .timedOut:
            let seconds = JSONValue.double(timeoutSeconds).text
            throw failure(.timedOut, "Command timed out after \(seconds) seconds")
        case .aborted:
            throw failure(.aborted, "Command aborted")
        case .full:
            throw failure(
                .tooLarge, "Command stopped because it wrote more than \(ByteCount.text(limits.outputStopBytes))")
        case .overQuota(let excess):
            throw failure(.quotaExceeded, "Command stopped: \(excess.reason)")
        case .failed(let error):
            throw failure(.failed, "The command could not be run: \(error.reason)")
        }
    }

    /// What a program's own message may not say.
    private static func notes(
        _ outcome: CommandExecution<CommandOutput>.Outcome, _ limits: ToolLimits
    ) -> [String] {
        var notes: [String] = []
        if outcome.events.memoryKills > 0 {
            notes.append(
                "Processes were stopped: a command gets \(ByteCount.text(limits.maxCommandMemoryBytes)) of memory")
        }
        if outcome.events.refusedProcesses > 0 {
            notes.append("Processes could not be started: a command gets \(limits.maxCommandProcesses)")
        }
        if outcome.wasFull {
            notes.append("The workspace is full: commands can take files away, but hardly write any")
        }
        return notes
    }

    /// The output, and behind it what of it is shown if that is not all.
    private static func shownText(_ output: CommandOutput.Shown) -> String {
        let truncation = output.truncation
        guard let bound = truncation.truncatedBy else { return output.text }
        var note = "Showing lines "
        let last = truncation.totalLines
        if truncation.lastLinePartial {
            note = "Showing the last \(ByteCount.text(truncation.outputBytes)) of line \(last)"
        } else {
            if output.headLines > 0 { note += "1-\(output.headLines) and " }
            note += "\(last - truncation.outputLines + 1)-\(last) of \(last)"
            if bound == .bytes { note += " (\(ByteCount.text(truncation.maxBytes)) limit)" }
        }
        note += ". "
        note += output.filePath.map { "Full output: \($0)" } ?? "The full output could not be kept."
        return output.text + "\n\n[\(note)]"
    }
}

extension ToolLimits {
    /// A default that is longer than the maximum raises it: who sets one means it.
    var longestTimeoutSeconds: Int { max(commandTimeoutSeconds, maxCommandTimeoutSeconds) }
}

extension CommandExecution where Sink == CommandOutput {
    /// A shell command, whose output is kept as the model gets it.
    static func shell(
        _ command: String, timeoutSeconds: Double, sandbox: Sandbox, workspace: Workspace,
        report: @escaping @Sendable (ToolOutput) -> Void
    ) throws(SystemError) -> Self {
        try Self(.shell(command), timeoutSeconds: timeoutSeconds, sandbox: sandbox, workspace: workspace) {
            CommandOutput(workspace: workspace, directoryName: sandbox.workspacePath, watcher: report)
        }
    }
}
