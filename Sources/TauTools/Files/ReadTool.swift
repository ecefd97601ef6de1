internal import TauCore

/// Reads a text file or an image.
struct ReadTool: Tool {
    let workspace: Workspace

    var definition: ToolDefinition { Self.definition(workspace.limits) }

    static func definition(_ limits: ToolLimits) -> ToolDefinition {
        ToolDefinition(
            name: "read",
            description: """
                Read a file. Text is cut at \(limits.maxLines) lines or \(ByteCount.text(limits.maxBytes)), whichever \
                comes first; use offset and limit for large files and go on with offset until the end. Images (jpeg, \
                png, gif, webp) are shown as such.
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
        return try await workspace.perform { () throws(ToolFailure) in
            let bytes = try workspace.read(path, limit: limits.maxReadBytes).bytes
            if let format = ImageFormat(detectingIn: bytes) { return try image(bytes, format, path, limits) }
            return try text(bytes, path, Window(offset: offset, limit: limit), limits)
        }
    }
}

/// The part of a file that was asked for.
private struct Window {
    var offset: Int?
    var limit: Int?
}

private func image(
    _ bytes: [UInt8], _ format: ImageFormat, _ path: WorkspacePath, _ limits: ToolLimits
) throws(ToolFailure) -> ToolOutput {
    guard bytes.count <= limits.maxImageBytes else {
        throw ToolFailure(
            .tooLarge,
            """
            The image \(path.text) has \(ByteCount.text(bytes.count)); at most \(ByteCount.text(limits.maxImageBytes)) \
            can be shown. Make a smaller copy first
            """)
    }
    return ToolOutput(content: [
        .text("Image \(path.text) (\(format.mimeType), \(ByteCount.text(bytes.count)))"),
        .image(ImageBlock(data: Base64.encode(bytes), mimeType: format.mimeType)),
    ])
}

private func text(
    _ bytes: [UInt8], _ path: WorkspacePath, _ window: Window, _ limits: ToolLimits
) throws(ToolFailure) -> ToolOutput {
    let lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
    let first = max(0, (window.offset ?? 1) - 1)
    guard first < lines.count else {
        throw ToolFailure(
            .invalidArguments, "Offset \(first + 1) is beyond the end of the file, which has \(lines.count) lines")
    }
    let last = window.limit.map { min(lines.count, first + min($0, lines.count)) } ?? lines.count
    let selected = bytes[lines[first].startIndex..<lines[last - 1].endIndex]
    let truncation = Truncation.head(shown(selected), maxLines: limits.maxLines, maxBytes: limits.maxBytes)
    if truncation.firstLineExceedsLimit {
        let size = ByteCount.text(lines[first].count)
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
        note = "[Showing lines \(first + 1)-\(end) of \(lines.count)\(why). Use offset=\(end + 1) to continue.]"
    } else if end < lines.count {
        note = "[\(lines.count - end) more lines in file. Use offset=\(end + 1) to continue.]"
    }
    return ToolOutput(
        text: note.map { truncation.content + "\n\n" + $0 } ?? truncation.content,
        details: truncation.isTruncated ? ["truncation": truncation.json] : nil)
}

/// The bytes as valid UTF-8 without NUL, which databases refuse; other control characters may be what a reader looks
/// for.
private func shown(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
    let text = String(decoding: bytes, as: UTF8.self)
    guard bytes.contains(0) else { return Array(text.utf8) }
    return text.utf8.flatMap { $0 == 0 ? [0xEF, 0xBF, 0xBD] : [$0] }
}
