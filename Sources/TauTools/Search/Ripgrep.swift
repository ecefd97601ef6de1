internal import Glibc
internal import TauCore
internal import TauSystem

/// Searches with ripgrep in the sandbox.
struct Ripgrep: Sendable {
    let program: String
    let workspace: Workspace
    let sandbox: Sandbox
    let session: SessionID
    let slots: FairQueue<SessionID>

    /// Where the sandbox sees it, if it is installed.
    static let installed = ["/usr/bin/rg", "/usr/local/bin/rg"].first { (path: String) in access(path, X_OK) == 0 }

    /// nil if ripgrep cannot do it, for a path that is no text.
    func search(_ request: GrepRequest, _ place: SearchPlace) async throws(ToolFailure) -> SearchResult? {
        guard let (directory, target) = Self.paths(place) else { return nil }
        let program = SandboxedProgram(
            arguments: [program] + arguments(request, target), directory: directory, mayWrite: false)
        try await slots.enterForTool(session)
        defer { slots.leave() }
        let (limits, workspace) = (workspace.limits, workspace)
        let execution: CommandExecution<RipgrepOutput>
        do throws(SystemError) {
            execution = try CommandExecution(
                program, timeoutSeconds: Double(limits.searchTimeoutSeconds), sandbox: sandbox, workspace: workspace
            ) {
                RipgrepOutput(limit: request.limit, maxBytes: limits.outputStopBytes) { path in
                    // A file that is named itself has been looked at when it was opened.
                    guard case .directory(_, let above) = place else { return false }
                    return workspace.protected.isHidden(
                        above + path.split(separator: UInt8(ascii: "/")).map(Array.init))
                }
            }
        } catch {
            throw ToolFailure(.failed, "The search could not be started: \(error.reason)")
        }
        let outcome = await execution.run()
        switch outcome.end {
        case .exited(.code(0)), .exited(.code(1)): return SearchResult(hits: outcome.output.hits, isComplete: true)
        case .full: return SearchResult(hits: outcome.output.hits, isComplete: outcome.output.hits.isFull)
        case .timedOut: return SearchResult(hits: outcome.output.hits, isComplete: false)
        case .aborted: throw .aborted
        // Some files could not be read, such as those whose rights a command has taken away.
        case .exited(.code(2)) where outcome.output.message.isEmpty:
            return SearchResult(hits: outcome.output.hits, isComplete: true)
        case .exited, .failed, .overQuota:
            throw ToolFailure(.failed, "The search failed: \(outcome.output.message)")
        }
    }

    /// Where ripgrep runs, and what it searches there.
    private static func paths(_ place: SearchPlace) -> (directory: String, target: String)? {
        let (components, target): ([[UInt8]], [UInt8]?) =
            switch place {
            case .directory(_, let components): (components, nil)
            case .file(let path): (path.components.dropLast(), path.components.last)
            }
        let directory = ([Array(WorkspacePath.mountPoint.utf8)] + components).joined(separator: [UInt8(ascii: "/")])
        guard let directory = String(validating: directory, as: UTF8.self),
            let target = String(validating: target ?? [], as: UTF8.self)
        else { return nil }
        return (directory, "./" + target)
    }

    private func arguments(_ request: GrepRequest, _ target: String) -> [String] {
        var arguments = [
            "--json", "--no-config", "--hidden", "--no-require-git", "--no-ignore-dot", "--no-ignore-global",
            "--no-ignore-exclude", "--no-messages", "--max-filesize", String(workspace.limits.maxSearchFileBytes),
            "--max-count", String(request.limit), "--context", String(request.context),
            request.ignoresCase ? "--ignore-case" : "--case-sensitive",
        ]
        if request.isLiteral { arguments.append("--fixed-strings") }
        if let glob = request.glob { arguments += ["--glob", glob] }
        // The last one that matches decides, so a model's own glob cannot bring it back. Protected names are left out
        // of what ripgrep finds instead: comparing each path with all of them costs it a third of its time.
        arguments += ["--glob", "!.git"]
        return arguments + ["--regexp", request.pattern, "--", target]
    }
}

/// Reads ripgrep's JSON lines.
struct RipgrepOutput: CommandSink {
    private(set) var hits: SearchHits
    /// What it said that is no result.
    private var other: [UInt8] = []
    private var rest: [UInt8] = []
    private var bytes = 0
    private let maxBytes: Int
    /// Whether a path is one that searches pass by.
    private let isHidden: @Sendable ([UInt8]) -> Bool

    init(limit: Int, maxBytes: Int, isHidden: @escaping @Sendable ([UInt8]) -> Bool) {
        hits = SearchHits(limit: limit)
        self.maxBytes = maxBytes
        self.isHidden = isHidden
    }

    struct Result: Sendable {
        var hits: SearchHits
        var message: String
    }

    var isFull: Bool { hits.isFull || bytes > maxBytes }

    mutating func append(_ bytes: [UInt8]) {
        self.bytes += bytes.count
        rest += bytes
        var start = rest.startIndex
        while !hits.isFull, let end = rest[start...].firstIndex(of: UInt8(ascii: "\n")) {
            take(rest[start..<end])
            start = end + 1
        }
        rest.removeFirst(start - rest.startIndex)
    }

    mutating func report() {}

    func finish() -> Result {
        Result(hits: hits, message: String(decoding: CleanText.clean(other), as: UTF8.self))
    }

    private mutating func take(_ line: ArraySlice<UInt8>) {
        guard line.first == UInt8(ascii: "{"), let message = try? JSONValue(parsing: Array(line)) else {
            if other.count < 1000 { other += line + [UInt8(ascii: "\n")] }
            return
        }
        let isMatch = message["type"]?.string == "match"
        guard isMatch || message["type"]?.string == "context", let data = message["data"],
            let number = data["line_number"]?.integer, var path = Self.bytes(data["path"]),
            var text = Self.bytes(data["lines"])
        else { return }
        if path.starts(with: "./".utf8) { path.removeFirst(2) }
        guard !isHidden(path) else { return }
        if text.last == UInt8(ascii: "\n") { text.removeLast() }
        hits.add(path, [SearchHit(line: number, text: text, isContext: !isMatch)])
    }

    /// Text, or what is no UTF-8 in base 64.
    private static func bytes(_ value: JSONValue?) -> [UInt8]? {
        if let text = value?["text"]?.string { return Array(text.utf8) }
        return value?["bytes"]?.string.flatMap { Base64.decode($0) }
    }
}
