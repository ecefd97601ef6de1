internal import ArgumentParser
internal import Glibc
internal import TauCore

/// `tau sessions export`.
struct SessionsExportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export", abstract: "Write a session file, byte for byte as stored.",
        discussion: """
            \(ClientOptions.discussion)

            EXAMPLES
              tau sessions export 01a20aeb-… > session.jsonl
              tau sessions export 01a20aeb-… --output session.jsonl --force
            """)

    @OptionGroup var client: ClientOptions
    @Argument(help: "The session's id.") var id: String

    @Option(help: ArgumentHelp("Write to a file of mode 0600 instead of standard output.", valueName: "file"))
    var output: String?

    @Flag(help: "Replace the file if it exists.")
    var force = false

    func run() async throws {
        try await client.run { client in
            let content = try await client.transfer("GET", "/sessions/\(TauClient.encoded(id))/export")
            guard let output else { return Terminal.writeJSON(content, end: "") }
            try Self.write(content, to: output, replaces: force)
        }
    }

    private static func write(_ content: [UInt8], to path: String, replaces: Bool) throws {
        func failure() -> ClientError {
            ClientError(.local, "cannot write \(path): \(String(cString: strerror(errno)))")
        }
        // Beside the file first, so that a full disk leaves no half a session in its place.
        let temporary = "\(path).\(getpid()).tmp"
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw failure() }
        defer {
            close(descriptor)
            unlink(temporary)
        }
        var written = 0
        while written < content.count {
            let count = content.withUnsafeBytes {
                Glibc.write(descriptor, $0.baseAddress.map { $0 + written }, content.count - written)
            }
            guard count > 0 else { throw failure() }
            written += count
        }
        guard fsync(descriptor) == 0 else { throw failure() }
        if replaces {
            guard rename(temporary, path) == 0 else { throw failure() }
        } else if link(temporary, path) != 0 {
            guard errno == EEXIST else { throw failure() }
            throw ClientError(.local, "\(path) exists already; --force replaces it")
        }
    }
}

/// `tau sessions import`.
struct SessionsImportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import", abstract: "Take in a Pi session file of version 1, 2 or 3; prints the session's id.",
        discussion: """
            A file with a line that cannot be read is refused whole, and the lines are named.

            \(ClientOptions.discussion)

            EXAMPLES
              tau sessions import session.jsonl
              ssh laptop cat session.jsonl | tau sessions import -
            """)

    @OptionGroup var client: ClientOptions
    @Argument(help: "The file; - is standard input.") var file: String

    @Flag(help: "The session as JSON instead of its id.")
    var json = false

    func run() async throws {
        try await client.run { client in
            let content = try Self.read(file)
            let answer = try await client.transfer("POST", "/sessions/import", bytes: content)
            let session = try JSONValue(parsing: answer)
            if json { return Terminal.writeJSON(session) }
            print(Terminal.line(session["id"]?.string ?? "", 64))
        }
    }

    private static func read(_ path: String) throws -> [UInt8] {
        let descriptor = path == "-" ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC)
        func failure() -> ClientError {
            ClientError(.local, "cannot read \(path): \(String(cString: strerror(errno)))")
        }
        guard descriptor >= 0 else { throw failure() }
        defer { if descriptor != STDIN_FILENO { close(descriptor) } }
        var content: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 20)
        while true {
            let count = Glibc.read(descriptor, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw failure() }
            if count == 0 { return content }
            content += buffer[..<count]
        }
    }
}

/// `tau sessions delete`.
struct SessionsDeleteCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "delete", abstract: "Delete sessions with their entries and workspaces. There is no way back.",
        discussion: """
            \(ClientOptions.discussion)

            EXAMPLES
              tau sessions delete 01a20aeb-…
              tau sessions delete --yes 01a20aeb-… 01a20aec-…
            """)

    @OptionGroup var client: ClientOptions
    @Argument(help: "The sessions' ids.") var ids: [String]

    @Flag(name: .shortAndLong, help: "Do not ask.")
    var yes = false

    func run() async throws {
        try await ClientOptions.reporting { try confirm() }
        try await client.run { client in
            for id in ids { _ = try await client.call("DELETE", "/sessions/\(TauClient.encoded(id))") }
        }
    }

    private func confirm() throws {
        guard !yes else { return }
        guard Terminal.inputIsTerminal else { throw ClientError(.usage, "--yes is needed where nobody can be asked") }
        Terminal.noteWithoutEnd(
            "Delete \(ids.count == 1 ? "session \(ids[0])" : "\(ids.count) sessions") for good? [y/N] ")
        guard let answer = readLine(), ["y", "yes"].contains(answer.lowercased()) else { throw ExitCode(1) }
    }
}
