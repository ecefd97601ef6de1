import Foundation
import TauCore
import TauTestKit
import Testing

/// Commands that work on trees and files, as processes, mostly without a server.
@Suite(.ownThreads) struct TreeCommandTests {
    /// A session with two turns, and the id of the first answer.
    private func conversation(_ path: String) throws -> (id: String, first: String) {
        for message in ["first question", "second question"] {
            var arguments = ["run", message, "--json"]
            if message.hasPrefix("second") { arguments += ["--session", try sessionID(path)] }
            let run = try TauProcess.command(arguments, in: path)
            #expect(run.code == 0, "\(run.errors)")
        }
        let id = try sessionID(path)
        let tree = try tree(id, path)
        let answers = tree["nodes"]?.array?.filter { $0["role"] == "assistant" } ?? []
        return (id, try #require(answers.first?["id"]?.string))
    }

    private func sessionID(_ path: String) throws -> String {
        let list = try TauProcess.command(["sessions", "list", "--json"], in: path)
        return try #require(try JSONValue(parsing: list.output)["data"]?.array?.first?["id"]?.string)
    }

    private func tree(_ id: String, _ path: String) throws -> JSONValue {
        try JSONValue(parsing: try TauProcess.command(["sessions", "tree", id, "--json"], in: path).output)
    }

    @Test func `a session is branched, labelled, named, forked, shown and drawn`() throws {
        let directory = try TemporaryDirectory()
        let path = directory.path
        let (id, first) = try conversation(path)
        func tau(_ arguments: String...) throws -> String {
            let result = try TauProcess.command(["sessions"] + arguments, in: path)
            #expect(result.code == 0, "\(arguments): \(result.errors)")
            #expect(result.errors.isEmpty, "\(arguments): \(result.errors)")
            return result.output
        }
        #expect(try tau("branch", id, first).contains(first))
        #expect(try TauProcess.command(["run", "third question", "--session", id], in: path).code == 0)
        _ = try tau("label", id, first, "works")
        _ = try tau("rename", id, "My trip")
        #expect(try JSONValue(parsing: try tau("rename", id, "My trip", "--json"))["name"] == "My trip")

        let drawing = try tau("tree", id)
        #expect(drawing.contains("[works]"))
        #expect(drawing.contains("├─") && drawing.contains("└─"))
        #expect(drawing.contains("second question") && drawing.contains("third question"))
        #expect(drawing.split(separator: "\n").count { $0.contains("←") } == 1)

        let shown = try tau("show", id)
        #expect(shown.contains("third question") && !shown.contains("second question"))
        let branch = try tau("show", id, "--branch", "--last", "3")
        #expect(branch.contains("My trip"))
        let second = try #require(
            try self.tree(id, path)["nodes"]?.array?.first { $0["preview"] == "second question" }?["id"]?.string)
        #expect(try tau("show", id, "--leaf", second, "--branch").contains("second question"))

        let fork = try tau("fork", id, "--at", first, "--name", "copy").trimmingCharacters(in: .whitespacesAndNewlines)
        #expect(fork != id)
        #expect(try !tau("show", fork, "--branch").contains("third question"))
        #expect(try tau("list", "--query", "copy").contains(fork))

        let summary = try JSONValue(parsing: try tau("branch", id, "root", "--summarize", "--json"))
        #expect(summary["leafId"]?.string != nil)
        #expect(try tau("branch", id, "root").contains("the beginning"))
        _ = try tau("label", id, first)
        #expect(try !tau("tree", id).contains("[works]"))
    }

    @Test func `a long session is compacted from the command line`() throws {
        let directory = try TemporaryDirectory()
        let imported = try TauProcess.command(
            ["sessions", "import", try SharedData.path("pi/large-session.jsonl")], in: directory.path)
        let id = imported.output.trimmingCharacters(in: .whitespacesAndNewlines)
        let compacted = try TauProcess.command(["sessions", "compact", id], in: directory.path)
        #expect(compacted.code == 0, "\(compacted.errors)")
        #expect(compacted.output.contains("messages were summarised"))
        let again = try TauProcess.command(["sessions", "compact", id], in: directory.path)
        #expect(again.code == 1)
        #expect(again.errors.contains("nothing to compact"))
    }

    @Test func `files are checked and repaired, and the originals stay`() throws {
        let directory = try TemporaryDirectory()
        let path = directory.path
        let (id, _) = try conversation(path)
        let clean = try TauProcess.command(["store", "check"], in: path)
        #expect(clean.code == 0, "\(clean.output)\(clean.errors)")
        #expect(clean.output.contains("1 files: 0 errors"))

        let file = URL(fileURLWithPath: path + "/data/sessions/\(id).jsonl")
        var lines = Array(try Data(contentsOf: file)).split(separator: UInt8(ascii: "\n")).map(Array.init)
        lines.insert(Array("{broken".utf8), at: 2)
        let broken = Data(lines.flatMap { $0 + [UInt8(ascii: "\n")] })
        try broken.write(to: file)
        let found = try TauProcess.command(["store", "check"], in: path)
        #expect(found.code == 1)
        #expect(found.output.contains("\(id):3: error broken_line"))
        let json = try JSONValue(parsing: try TauProcess.command(["store", "check", id, "--json"], in: path).output)
        #expect(json["files"]?.array?.first?["findings"]?.array?.first?["line"] == 3)

        let repair = try TauProcess.command(["store", "check", "--repair"], in: path)
        #expect(repair.code == 1)
        #expect(repair.output.contains("wrote \(id).jsonl.repaired"))
        #expect(try Data(contentsOf: file) == broken)
        lines.remove(at: 2)
        let repaired = URL(fileURLWithPath: file.path + ".repaired")
        #expect(try Data(contentsOf: repaired) == Data(lines.flatMap { $0 + [UInt8(ascii: "\n")] }))
        #expect(try FileManager.default.attributesOfItem(atPath: repaired.path)[.posixPermissions] as? Int == 0o600)
        // Readers go on with the broken file, too: the line is skipped.
        #expect(try TauProcess.command(["run", "go on", "--session", id], in: path).code == 0)

        #expect(try TauProcess.command(["store", "check", "nothing"], in: path).code == 1)
        #expect(try TauProcess.command(["store", "check", "../x"], in: path).code == 64)
        #expect(try TauProcess.command(["store", "check", "--data-dir", "nowhere"], in: path).code == 74)
    }

    @Test(.enabled(if: TestDatabase.isOfFiles)) func `the catalogue is rebuilt beside a running server`() async throws {
        let directory = try TemporaryDirectory()
        let server = try TauProcess(in: directory)
        defer { server.stop() }
        let client = APIClient(server)
        let id = try await client.newSession(["name": "mine"])
        #expect(try await client.get("/sessions?q=mine")["data"]?.array?.count == 1)
        let rebuilt = try TauProcess.command(["store", "rebuild", "--json"], in: directory.path)
        #expect(rebuilt.code == 0, "\(rebuilt.errors)")
        #expect(try JSONValue(parsing: rebuilt.output)["sessions"] == 1)
        #expect(try await client.get("/sessions?q=mine")["data"]?.array?.first?["id"] == .string(id))
    }
}
