/// The first line of a session file.
public struct SessionHeader: Sendable {
    /// The version that Tau writes.
    public static let currentVersion = 3

    public let id: SessionID
    public let version: Int
    public let timestamp: Timestamp
    /// The directory that the session's author worked in; informative only.
    public let workingDirectory: String
    /// The exact JSON text, without its line feed.
    public let line: ArraySlice<UInt8>

    public init(id: SessionID, timestamp: Timestamp, workingDirectory: String, parentSession: String? = nil) {
        var writer = JSONWriter()
        writer.object { writer in
            writer.member("type", "session")
            writer.member("version", Self.currentVersion)
            writer.member("id", id.rawValue)
            writer.member("timestamp", timestamp.description)
            writer.member("cwd", workingDirectory)
            writer.member("parentSession", ifPresent: parentSession)
        }
        self.id = id
        version = Self.currentVersion
        self.timestamp = timestamp
        self.workingDirectory = workingDirectory
        line = writer.bytes[...]
    }

    /// Reads a header of any version off one line.
    public init(line: ArraySlice<UInt8>) throws(EntryError) {
        let json: JSONValue
        do throws(JSONError) {
            json = try JSONValue(parsing: line)
        } catch {
            throw EntryError(reason: "the header is not valid JSON: \(error)")
        }
        guard json["type"]?.string == "session" else {
            throw EntryError(reason: "the first line is no session header (type \"session\")")
        }
        guard let text = json["id"]?.string else { throw EntryError(reason: "the header has no id") }
        guard let id = SessionID(text) else {
            throw EntryError(
                reason:
                    "the session id must be 1 to 128 letters, digits, '.', '_' or '-', with a letter or digit at both ends"
            )
        }
        let version = json["version"]?.integer ?? 1
        guard (1...Self.currentVersion).contains(version) else {
            throw EntryError(
                reason: "session format version \(version) is not supported (1 to \(Self.currentVersion) are)")
        }
        self.id = id
        self.version = version
        timestamp = json["timestamp"]?.string.flatMap { Timestamp($0) } ?? Timestamp(milliseconds: 0)
        workingDirectory = json["cwd"]?.string ?? ""
        self.line = line
    }
}
