internal import TauCore
internal import TauSystem

/// Reads a text file or an image.
struct ReadTool: Tool {
    let workspace: Workspace
    /// nil where images cannot be made smaller.
    var scaler: ImageScaler?

    var definition: ToolDefinition { Self.definition(workspace.limits) }

    static func definition(_ limits: ToolLimits) -> ToolDefinition {
        ToolDefinition(
            name: "read",
            description: """
                Read a file. Text is cut at \(limits.maxLines) lines or \(ByteCount.text(limits.maxBytes)), whichever \
                comes first; use offset and limit for large files and go on with offset until the end. Images (jpeg, \
                png, gif, webp, bmp) are shown as such, large ones made smaller.
                """,
            parameters: .arguments(
                [
                    "path": .argument("string", "Path of the file, relative to the workspace"),
                    "offset": .argument("number", "Line to start at, counted from 1"),
                    "limit": .argument("number", "How many lines to read at most"),
                ], required: ["path"]),
            isRepeatable: true)
    }

    func run(_ invocation: ToolInvocation) async throws(ToolFailure) -> ToolOutput {
        let path = try WorkspacePath(invocation.arguments.requiredString("path"))
        let offset = try invocation.arguments.optionalInteger("offset")
        let limit = try invocation.arguments.optionalInteger("limit")
        if let limit, limit < 1 { throw ToolFailure(.invalidArguments, "The argument 'limit' must be at least 1") }
        let (workspace, limits) = (workspace, workspace.limits)
        let file = try await workspace.perform { () throws(ToolFailure) in
            let (path, head) = try workspace.head(ofAnySpelling: path, bytes: headBytes)
            if let format = ImageFormat(detectingIn: head.bytes) { return File.image(path, head, format) }
            // Most files are no longer than that.
            let isWhole = head.bytes.count < headBytes && head.bytes.count == head.status.size
            let bytes = isWhole ? head.bytes : try workspace.read(path, limit: limits.maxReadBytes).bytes
            return .text(try text(bytes, path, Window(offset: offset, limit: limit), limits))
        }
        switch file {
        case .text(let output): return output
        case .image(let path, let head, let format): return try await image(path, head, format)
        }
    }

    private enum File {
        case text(ToolOutput)
        /// Its first bytes, for it may be of any size.
        case image(WorkspacePath, Workspace.Content, ImageFormat)
    }

    private func image(
        _ path: WorkspacePath, _ head: Workspace.Content, _ format: ImageFormat
    ) async throws(ToolFailure) -> ToolOutput {
        let limits = workspace.limits
        let workspace = workspace
        let size = format.size(in: head.bytes)
        let count = Int(head.status.size)
        let original = ([format.mimeType, size?.text, ByteCount.text(count)] as [String?]).compactMap(\.self)
            .joined(separator: ", ")
        if format.isTaken, count <= limits.maxImageBytes, size?.fits(in: limits.maxImageSide) != false {
            let bytes = try await workspace.perform { () throws(ToolFailure) in
                try workspace.read(path, limit: limits.maxImageBytes).bytes
            }
            return output("Image \(path.text) (\(original))", bytes, format)
        }
        guard let smaller = try await scaler?.scaled(path, format: format),
            let format = ImageFormat(detectingIn: smaller)
        else {
            throw ToolFailure(
                .tooLarge,
                """
                The image \(path.text) (\(original)) cannot be shown: at most \(ByteCount.text(limits.maxImageBytes)) and \
                \(limits.maxImageSide) pixels a side can be, as jpeg, png, gif or webp. Make a smaller copy first
                """)
        }
        let shown = format.size(in: smaller).map { " as \($0.text)" } ?? ""
        return output("Image \(path.text) (\(original)), shown\(shown) \(format.mimeType)", smaller, format)
    }

    private func output(_ text: String, _ bytes: [UInt8], _ format: ImageFormat) -> ToolOutput {
        ToolOutput(content: [
            .text(text), .image(ImageBlock(data: Base64.encode(bytes), mimeType: format.mimeType)),
        ])
    }
}

/// Enough to know an image and its size.
private let headBytes = 65_536

/// The part of a file that was asked for.
private struct Window {
    var offset: Int?
    var limit: Int?
}

private func text(
    _ bytes: [UInt8], _ path: WorkspacePath, _ window: Window, _ limits: ToolLimits
) throws(ToolFailure) -> ToolOutput {
    let lineCount = bytes.lineCount
    let first = max(0, (window.offset ?? 1) - 1)
    guard first < lineCount, let start = bytes.start(ofLine: first) else {
        throw ToolFailure(
            .invalidArguments, "Offset \(first + 1) is beyond the end of the file, which has \(lineCount) lines")
    }
    let last = window.limit.map { min(lineCount, first + min($0, lineCount)) } ?? lineCount
    let selectedEnd = last == lineCount ? bytes.count : (bytes.start(ofLine: last) ?? bytes.count) - 1
    let selected = start == 0 && selectedEnd == bytes.count ? bytes : Array(bytes[start..<selectedEnd])
    let truncation = Truncation.head(shown(selected), maxLines: limits.maxLines, maxBytes: limits.maxBytes)
    if truncation.firstLineExceedsLimit {
        let size = ByteCount.text((bytes.lineFeed(from: start) ?? bytes.count) - start)
        return ToolOutput(
            text: """
                [Line \(first + 1) has \(size), more than the limit of \(ByteCount.text(limits.maxBytes)). \
                Use bash: sed -n '\(first + 1)p' '\(path.text)' | head -c \(limits.maxBytes)]
                """,
            details: ["truncation": truncation.json])
    }
    let end = first + truncation.outputLines
    var note: String?
    if let bound = truncation.truncatedBy {
        let why = bound == .bytes ? " (\(ByteCount.text(limits.maxBytes)) limit)" : ""
        note = "[Showing lines \(first + 1)-\(end) of \(lineCount)\(why). Use offset=\(end + 1) to continue.]"
    } else if end < lineCount {
        note = "[\(lineCount - end) more lines in file. Use offset=\(end + 1) to continue.]"
    }
    return ToolOutput(
        text: note.map { truncation.content + "\n\n" + $0 } ?? truncation.content,
        details: truncation.isTruncated ? ["truncation": truncation.json] : nil)
}

/// The bytes as valid UTF-8 without NUL, which databases refuse; other control characters may be what a reader looks
/// for.
private func shown(_ bytes: [UInt8]) -> [UInt8] {
    if bytes.offset(of: 0) == nil, String(validating: bytes, as: UTF8.self) != nil { return bytes }
    return String(decoding: bytes, as: UTF8.self).utf8.flatMap { $0 == 0 ? [0xEF, 0xBF, 0xBD] : [$0] }
}
