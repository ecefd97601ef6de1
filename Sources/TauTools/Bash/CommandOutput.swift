internal import TauCore
internal import TauSystem

/// What a running command has written: its newest part in memory, all of it in a file once it is too long to be shown.
struct CommandOutput: ~Copyable {
    private let workspace: Workspace
    private let limits: ToolLimits
    private var newest: [UInt8] = []
    private(set) var totalBytes = 0
    private var lineFeeds = 0
    private var file: FileDescriptor?
    /// Where the model finds the file.
    private var filePath: String?
    private var fileHasFailed = false

    init(workspace: Workspace) {
        self.workspace = workspace
        limits = workspace.limits
    }

    var exceedsStopLimit: Bool { totalBytes > limits.outputStopBytes }

    mutating func append(_ bytes: [UInt8]) {
        newest += bytes
        totalBytes += bytes.count
        lineFeeds += bytes.reduce(into: 0) { count, byte in if byte == UInt8(ascii: "\n") { count += 1 } }
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

    /// The end of the output that fits into an answer, and its details.
    struct Shown {
        var text: String
        var truncation: Truncation
        var filePath: String?

        var details: JSONValue? {
            guard truncation.isTruncated else { return nil }
            var details: JSONObject = JSONObject()
            details["truncation"] = truncation.json
            if let filePath { details["fullOutputPath"] = .string(filePath) }
            return .object(details)
        }
    }

    /// Also opens the file if cleaning has made the output too long.
    mutating func shown() -> Shown {
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

    // MARK: The file

    private mutating func openFile() {
        guard !fileHasFailed else { return }
        let name = "bash-\(String(UInt64.random(in: .min ... .max), radix: 16)).log"
        do throws(SystemError) {
            let folder = try workspace.makeDirectories([Array(".tau".utf8)])
            let opened = try folder.createFile(Array(name.utf8), mode: 0o644)
            if let owner = workspace.owner { try opened.changeOwner(user: owner.userID, group: owner.groupID) }
            file = consume opened
            filePath = "\(WorkspacePath.mountPoint)/.tau/\(name)"
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
