internal import TauCore

/// A path that a model gave, relative to the workspace: bytes that are safe to hand to the kernel.
///
/// It says nothing about where the path leads; that the kernel decides when the path is opened beneath the workspace.
/// Everything is compared as bytes, because Swift compares text by canonical equivalence and file systems do not.
struct WorkspacePath: Hashable, Sendable {
    /// Where tools and models see the workspace.
    static let mountPoint = "/workspace"

    static let maxBytes = 4096
    static let maxComponentBytes = 255
    static let maxComponents = 128

    /// Relative, never empty; "." is the workspace itself.
    let bytes: [UInt8]

    init(_ text: String) throws(ToolFailure) { try self.init(bytes: Array(text.utf8)) }

    /// Accepts `a/b`, `@a/b` (a habit of chat interfaces) and `/workspace/a/b`. There is no tilde, no variable and no
    /// percent code: such characters are a file's name.
    init(bytes input: [UInt8]) throws(ToolFailure) {
        guard input.count <= Self.maxBytes else { throw Self.invalid("is longer than \(Self.maxBytes) bytes") }
        guard String(validating: input, as: UTF8.self) != nil else { throw Self.invalid("is not valid UTF-8") }
        guard !input.contains(where: { $0 < 0x20 || $0 == 0x7F }) else {
            throw Self.invalid("contains a control character")
        }
        var path = input[...]
        if path.first == UInt8(ascii: "@") { path.removeFirst() }
        guard !path.isEmpty else { throw Self.invalid("is empty") }
        if path.first == UInt8(ascii: "/") { path = try Self.belowMountPoint(path) }
        let components = path.split(separator: UInt8(ascii: "/"))
        guard components.count <= Self.maxComponents else {
            throw Self.invalid("has more than \(Self.maxComponents) components")
        }
        guard components.allSatisfy({ $0.count <= Self.maxComponentBytes }) else {
            throw Self.invalid("has a name longer than \(Self.maxComponentBytes) bytes")
        }
        bytes = path.isEmpty ? [UInt8(ascii: ".")] : Array(path)
    }

    /// The rest of an absolute path behind the mount point, which must end there at a slash or altogether.
    private static func belowMountPoint(_ path: ArraySlice<UInt8>) throws(ToolFailure) -> ArraySlice<UInt8> {
        let prefix = Array(mountPoint.utf8)
        let rest = path.dropFirst(prefix.count)
        guard path.starts(with: prefix), rest.isEmpty || rest.first == UInt8(ascii: "/") else {
            throw ToolFailure(.denied, "The path is outside the workspace (\(mountPoint))")
        }
        return rest.drop { $0 == UInt8(ascii: "/") }
    }

    private static func invalid(_ reason: String) -> ToolFailure {
        ToolFailure(.invalidArguments, "The path \(reason)")
    }

    /// The directory's components and the last name, for making or replacing a file; nil where the last component
    /// cannot be a file's name.
    var directoryAndName: (directory: [[UInt8]], name: [UInt8])? {
        let dot = UInt8(ascii: ".")
        var components = bytes.split(separator: UInt8(ascii: "/")).map(Array.init)
        guard bytes.last != UInt8(ascii: "/"), let name = components.popLast(), name != [dot], name != [dot, dot] else {
            return nil
        }
        return (components, name)
    }

    var components: [[UInt8]] { bytes.split(separator: UInt8(ascii: "/")).map(Array.init) }

    /// For messages.
    var text: String { String(decoding: bytes, as: UTF8.self) }
}
