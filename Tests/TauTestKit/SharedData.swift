import Glibc
public import TauCore

/// Real sessions, captured streams and golden values that tests are held against: the directory `shared/data` beside the checkout.
public enum SharedData {
    /// A file that is not there: without it the test proves nothing.
    public struct Missing: Error, CustomStringConvertible {
        public var description: String
    }

    /// The file's content; `path` is relative to the data directory.
    public static func bytes(_ path: String) throws -> [UInt8] {
        let full = directory + path
        guard let file = fopen(full, "rb") else { throw Missing(description: "there is no test data at \(full)") }
        defer { fclose(file) }
        var content: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while case let count = fread(&buffer, 1, buffer.count, file), count > 0 { content += buffer[..<count] }
        return content
    }

    public static func json(_ path: String) throws -> JSONValue { try JSONValue(parsing: try bytes(path)) }

    /// The names in a folder of the data, sorted; none where it is missing.
    static func names(_ folder: String) -> [String] {
        guard let stream = opendir(directory + folder) else { return [] }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            names.append(
                withUnsafeBytes(of: &entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) })
        }
        return names.sorted()
    }

    /// Three levels up from this file lies the checkout, and `shared` beside it.
    private static let directory: String = {
        var parts = #filePath.split(separator: "/", omittingEmptySubsequences: false)
        parts.removeLast(4)
        return parts.joined(separator: "/") + "/shared/data/"
    }()
}

extension SharedData {
    /// The file's whole path, for a program that reads it itself.
    public static func path(_ path: String) throws -> String {
        _ = try bytes(path)
        return directory + path
    }
}
