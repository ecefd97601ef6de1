internal import TauCore
internal import TauSystem

/// What a running command has written: its newest part in memory, all of it in a file once it is too long to be shown.
struct CommandOutput: ~Copyable, CommandSink {
    private let workspace: Workspace
    private let limits: ToolLimits
    /// How the model names the workspace.
    private let directoryName: String
    private let watcher: @Sendable (ToolOutput) -> Void
    private var oldest: [UInt8] = []
    private var newest: [UInt8] = []
    private(set) var totalBytes = 0
    private var lineFeeds = 0
    private var file: FileDescriptor?
    /// Where the model finds the file.
    private var filePath: String?
    private var fileHasFailed = false

    init(workspace: Workspace, directoryName: String, watcher: @escaping @Sendable (ToolOutput) -> Void) {
        self.watcher = watcher
        self.workspace = workspace
        self.directoryName = directoryName
        limits = workspace.limits
    }

    var isFull: Bool { totalBytes > limits.outputStopBytes }

    mutating func append(_ bytes: [UInt8]) {
        if oldest.count < limits.outputHeadBytes { oldest += bytes.prefix(limits.outputHeadBytes - oldest.count) }
        newest += bytes
        totalBytes += bytes.count
        lineFeeds += bytes.lineCount - 1
        if file != nil {
            writeToFile(bytes)
        } else if totalBytes > limits.maxBytes || lineFeeds >= limits.maxLines {
            // Nothing has been forgotten yet: what is kept is never less than what may be shown.
            openFile()
        }
        let kept = max(limits.outputKeptBytes, limits.maxBytes)
        // Not at every piece, because it moves the rest.
        if newest.count > kept * 2 { newest.removeFirst(newest.count - kept) }
    }

    mutating func report() {
        let shown = shown()
        watcher(ToolOutput(text: shown.text, details: shown.details))
    }

    mutating func finish() -> Shown {
        var shown = shown()
        if shown.truncation.isTruncated { addHead(to: &shown) }
        return shown
    }

    /// The part of the output that fits into an answer, and its details.
    struct Shown: Sendable {
        var text: String
        /// How its end was cut out of the whole.
        var truncation: Truncation
        /// Lines from the beginning that stand in front of the end.
        var headLines = 0
        var filePath: String?

        var details: JSONValue? {
            guard truncation.isTruncated else { return nil }
            var details: JSONObject = JSONObject()
            details["truncation"] = truncation.json
            if let filePath { details["fullOutputPath"] = .string(filePath) }
            return .object(details)
        }
    }

    /// The output's end. Also opens the file if cleaning has made the output too long.
    private mutating func shown() -> Shown {
        var clean = CleanText.clean(newest.drop { totalBytes > newest.count && $0 & 0xC0 == 0x80 })
        // A final line feed ends the last line; it does not begin another one.
        if clean.last == UInt8(ascii: "\n") { clean.removeLast() }
        var truncation = Truncation.tail(clean, maxLines: limits.maxLines, maxBytes: limits.maxBytes)
        if truncation.isTruncated, file == nil { openFile() }
        // Of the whole output as it came, not of what was kept and cleaned of it.
        truncation.totalBytes = totalBytes
        truncation.totalLines = lineFeeds + (newest.last == UInt8(ascii: "\n") ? 0 : 1)
        return Shown(text: truncation.content, truncation: truncation, filePath: fileHasFailed ? nil : filePath)
    }

    /// Puts whole lines of the beginning in front, as far as the end does not hold them already.
    private func addHead(to shown: inout Shown) {
        let hidden = shown.truncation.totalLines - shown.truncation.outputLines
        // Its last line may be cut.
        let kept = CleanText.clean(oldest.prefix(through: oldest.lastIndex(of: UInt8(ascii: "\n")) ?? -1))
        let head = Truncation.head(
            kept.dropLast(), maxLines: min(hidden, limits.outputHeadLines), maxBytes: limits.outputHeadBytes)
        guard !kept.isEmpty, hidden > 0, head.outputLines > 0 else { return }
        shown.headLines = head.outputLines
        let omitted = hidden - head.outputLines
        let gap = omitted == 0 ? "\n" : "\n\n[\(omitted) \(omitted == 1 ? "line" : "lines") left out]\n\n"
        shown.text = head.content + gap + shown.text
    }

    // MARK: The file

    private mutating func openFile() {
        guard !fileHasFailed else { return }
        let name = "bash-\(String(UInt64.random(in: .min ... .max), radix: 16)).log"
        do throws(SystemError) {
            let folder = try workspace.makeDirectories([Array(".tau".utf8)])
            let opened = try folder.createFile(Array(name.utf8), mode: 0o644)
            if let owner = workspace.owner { try opened.changeOwner(user: owner.userID, group: owner.groupID) }
            file = consume opened
            filePath = "\(directoryName)/.tau/\(name)"
            writeToFile(newest)
        } catch {
            // The command's result counts for more than the file.
            fileHasFailed = true
        }
    }

    private mutating func writeToFile(_ bytes: [UInt8]) {
        guard !fileHasFailed else { return }
        do throws(SystemError) { try file?.write(bytes) } catch { fileHasFailed = true }
    }
}
