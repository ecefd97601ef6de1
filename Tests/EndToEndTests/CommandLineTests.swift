import Foundation
import TauCore
import TauTestKit
import Testing

/// The command line as a person uses it.
@Suite(.ownThreads) struct CommandLineTests {
    @Test(arguments: [
        [], ["serve"], ["run"], ["sessions"], ["sessions", "list"], ["sessions", "show"], ["sessions", "tree"],
        ["sessions", "export"], ["sessions", "import"], ["sessions", "delete"], ["sessions", "branch"],
        ["sessions", "fork"], ["sessions", "compact"], ["sessions", "label"], ["sessions", "rename"], ["store"],
        ["store", "check"], ["store", "rebuild"], ["version"], ["bench"],
    ])
    func `help comes with examples`(_ command: [String]) throws {
        let result = try TauProcess.command(command + ["--help"], in: "/")
        #expect(result.code == 0)
        #expect(result.output.contains("EXAMPLE"), "\(command)")
    }

    @Test func `without a server a run works in the process, and the session is kept`() throws {
        let directory = try TemporaryDirectory()
        let run = try TauProcess.command(["run", "Hello there."], in: directory.path)
        #expect(run.code == 0)
        #expect(!run.output.isEmpty)
        #expect(!run.output.contains("\u{1B}"))
        #expect(!run.errors.contains("\"level\""), "\(run.errors)")
        let list = try TauProcess.command(["sessions", "list", "--json"], in: directory.path)
        #expect(list.code == 0)
        let json = try JSONValue(parsing: list.output)
        let sessions = json["data"]?.array ?? json.array ?? []
        #expect(sessions.count == 1)
    }

    @Test func `with a server on the same data the commands speak to it`() async throws {
        let directory = try TemporaryDirectory()
        let server = try TauProcess(in: directory, environment: ["TAU_AUTH_ADMIN_KEY": ""])
        defer { server.stop() }
        let run = try TauProcess.command(
            ["run", "--name", "mine", #"Use write with path=a.txt, content="x"."#], in: directory.path)
        #expect(run.code == 0, "\(run.errors)")
        #expect(run.errors.contains("write"))
        let key = try String(contentsOfFile: directory.path + "/data/admin.key", encoding: .utf8).dropLast()
        let sessions = try await APIClient(server, key: String(key)).get("/sessions")["data"]?.array
        #expect(sessions?.map { $0["name"] } == ["mine"])
        let id = try #require(sessions?.first?["id"]?.string)

        let tree = try TauProcess.command(["sessions", "tree", id], in: directory.path)
        #expect(tree.code == 0)
        #expect(tree.output.contains("user"))
        let show = try TauProcess.command(["sessions", "show", id], in: directory.path)
        #expect(show.output.contains("Use write"))

        let export = try TauProcess.command(["sessions", "export", id, "--output", "out.jsonl"], in: directory.path)
        #expect(export.code == 0, "\(export.errors)")
        let file = try Data(contentsOf: URL(fileURLWithPath: directory.path + "/out.jsonl"))
        #expect(try Data(contentsOf: URL(fileURLWithPath: directory.path + "/data/sessions/\(id).jsonl")) == file)

        let delete = try TauProcess.command(["sessions", "delete", id, "--yes"], in: directory.path)
        #expect(delete.code == 0, "\(delete.errors)")
        let back = try TauProcess.command(["sessions", "import", "out.jsonl"], in: directory.path)
        #expect(back.code == 0, "\(back.errors)")
        #expect(back.output.contains(id))
    }

    @Test func `a command finds the server whose data directory only the configuration names`() async throws {
        let directory = try TemporaryDirectory()
        let server = try TauProcess(in: directory, environment: ["TAU_AUTH_ADMIN_KEY": ""])
        defer { server.stop() }
        let other = try TemporaryDirectory()
        let yaml = "data:\n  dir: \(directory.path)/data\n"
        try Data(yaml.utf8).write(to: URL(fileURLWithPath: other.path + "/tau.yaml"))
        let run = try TauProcess.command(["run", "Hello."], in: other.path)
        #expect(run.code == 0, "\(run.errors)")
        // The run is known to that server: no second one was started over its data.
        let key = try String(contentsOfFile: directory.path + "/data/admin.key", encoding: .utf8).dropLast()
        let client = APIClient(server, key: String(key))
        let session = try #require(try await client.get("/sessions")["data"]?.array?.first?["id"]?.string)
        #expect(try await client.get("/sessions/\(session)/runs")["data"]?.array?.count == 1)
    }

    @Test func `exit codes tell what went wrong`() throws {
        let directory = try TemporaryDirectory()
        let unreachable = try TauProcess.command(
            ["run", "x", "--server", "http://127.0.0.1:1", "--key", "k"], in: directory.path)
        #expect(unreachable.code == 69)
        #expect(unreachable.errors.hasPrefix("tau: "))
        let server = try TauProcess()
        defer { server.stop() }
        let refused = try TauProcess.command(
            ["run", "x", "--server", server.url, "--key", "wrong"], in: directory.path)
        #expect(refused.code == 77)
        let usage = try TauProcess.command(["sessions", "show"], in: directory.path)
        #expect(usage.code == 64)
        let missing = try TauProcess.command(
            ["sessions", "show", "nothing", "--server", server.url, "--key", server.key], in: directory.path)
        #expect(missing.code == 1)
        #expect(missing.errors.hasPrefix("tau: "))
    }

    @Test func `Ctrl-C cancels the run`() async throws {
        let server = try TauProcess()
        defer { server.stop() }
        let process = Process()
        process.executableURL = TauProcess.executable
        process.arguments = [
            "run", #"Use bash with command="sleep 300"."#, "--server", server.url, "--key", server.key,
        ]
        process.environment = TauProcess.cleanEnvironment
        process.standardInput = FileHandle.nullDevice
        let errors = Pipe()
        process.standardError = errors
        process.standardOutput = FileHandle.nullDevice
        try process.run()
        var text = ""
        while !text.contains("bash") {
            let data = errors.fileHandleForReading.availableData
            guard !data.isEmpty else { break }
            text += String(decoding: data, as: UTF8.self)
        }
        kill(process.processIdentifier, SIGINT)
        process.waitUntilExit()
        #expect(process.terminationStatus == 130)
        let client = APIClient(server)
        let session = try #require(try await client.get("/sessions")["data"]?.array?.first?["id"]?.string)
        #expect(try await client.get("/sessions/\(session)/runs")["data"]?.array?.map { $0["status"] } == ["cancelled"])
    }
}
