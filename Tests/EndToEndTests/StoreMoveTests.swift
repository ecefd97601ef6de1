import Foundation
import TauCore
import TauTestKit
import Testing

/// Moving sessions between stores on the command line, and databases that cannot be had.
@Suite(.ownThreads, .timeLimit(.minutes(2))) struct StoreMoveTests {
    @Test func `a prototype moves to the database, and an old session to the bucket`() async throws {
        let directory = try TemporaryDirectory()
        let bucket = try TemporaryDirectory()
        let files = try TauProcess(in: directory, environment: ["TAU_STORE_KIND": "jsonl"])
        let client = APIClient(files)
        let id = try #require(try await client.send("POST", "/sessions", ["name": "first"]).json["id"]?.string)
        let started = try await client.send(
            "POST", "/sessions/\(id)/runs", ["message": "Hello"], headers: ["Accept": "text/event-stream"])
        #expect(started.status == 200)
        let before = try await client.send("GET", "/sessions/\(id)/export").body
        files.stop()

        let database = try TemporaryDirectory()
        var variables = try TestDatabase.variables(for: database)
        variables["TAU_ARCHIVE_URL"] = "file://\(bucket.path)"
        func tau(_ arguments: String...) throws -> (code: Int32, output: String, errors: String) {
            try TauProcess.command(
                arguments + ["--data-dir", directory.path + "/data"], in: directory.path, environment: variables)
        }
        let made = try tau("store", "migrate")
        #expect(made.code == 0 && made.output.contains("sessions and runs"), "\(made)")
        #expect(try tau("store", "migrate").output.contains("of this version"))
        let moved = try tau("store", "migrate", "--from", "jsonl", "--to", "postgres", "--json")
        #expect(moved.code == 0, "\(moved.errors)")
        #expect(try JSONValue(parsing: moved.output.utf8)["copied"] == 1)
        #expect(try tau("store", "migrate", "--from", "jsonl", "--to", "postgres").output.contains("1 were there"))
        #expect(try tau("store", "migrate", "--from", "jsonl").code == 64)

        let server = try TauProcess(in: directory, environment: variables)
        let again = APIClient(server)
        #expect(try await again.send("GET", "/sessions/\(id)/export").body == before)
        #expect(try await again.send("GET", "/health").json == ["database": true, "disk": true])
        func remote(_ arguments: String...) throws -> (code: Int32, output: String, errors: String) {
            try TauProcess.command(
                arguments + ["--server", server.url, "--key", server.key], in: directory.path, environment: [:])
        }
        #expect(try remote("sessions", "archive", id).code == 0)
        #expect(try await again.send("GET", "/sessions/\(id)").json["tier"] == "archived")
        #expect(try remote("sessions", "restore", id).code == 0)
        #expect(try await again.send("GET", "/sessions/\(id)").json["tier"] == "hot")
        server.stop()

        let trial = try tau("archive", "sweep", "--after-days", "0", "--dry-run")
        #expect(trial.code == 0 && trial.output.contains("would be archived: \(id)"), "\(trial)")
        let swept = try tau("archive", "sweep", "--after-days", "0", "--json")
        #expect(try JSONValue(parsing: swept.output.utf8)["archived"] == 1, "\(swept)")
        #expect(FileManager.default.fileExists(atPath: bucket.path + "/archives/\(id).jsonl"))

        let copy = try TemporaryDirectory()
        let back = try TauProcess.command(
            ["store", "migrate", "--from", "postgres", "--to", "jsonl", "--data-dir", copy.path + "/data"],
            in: copy.path, environment: variables)
        #expect(back.code == 0, "\(back.errors)")
        #expect(try Data(contentsOf: URL(fileURLWithPath: copy.path + "/data/sessions/\(id).jsonl")) == Data(before))
    }

    @Test func `a database that cannot be had is said to be, without its password`() throws {
        let directory = try TemporaryDirectory()
        let cases: [(variables: [String: String], code: Int32, text: String)] = [
            ([:], 78, "postgres.url"),
            (["TAU_POSTGRES_URL": "postgres://u:hidden-one@127.0.0.1:1/x"], 1, "the database"),
            (["TAU_POSTGRES_URL": "postgres://u:hidden-one@[h/y"], 1, "URL"),
            (["TAU_POSTGRES_URL": "postgres://h/y", "TAU_REDIS_URL": "nonsense"], 1, "Redis"),
        ]
        for (variables, code, text) in cases {
            let result = try TauProcess.command(
                ["serve", "--store", "postgres", "--port", "0"], in: directory.path, environment: variables)
            #expect(result.code == code, "\(result)")
            #expect(result.errors.contains(text), "\(result.errors)")
            #expect(!result.errors.contains("hidden-one") && !result.output.contains("hidden-one"))
        }
    }

    @Test func `a database that goes away is told of without where it is, and is used again when it is back`()
        async throws
    {
        let database = try PostgresServer()
        let server = try TauProcess(
            environment: ["TAU_STORE_KIND": "postgres", "TAU_POSTGRES_URL": database.url()])
        let client = APIClient(server)
        #expect(try await client.send("POST", "/sessions", ["name": "one"]).status == 201)
        database.kill()
        var bodies = ""
        for path in ["/sessions", "/sessions/some-session", "/health?verbose=1"] {
            let answer = try await client.send("GET", path)
            #expect(answer.status == 503, "\(path)")
            bodies += String(decoding: answer.body, as: UTF8.self)
        }
        #expect(!bodies.contains("127.0.0.1") && !bodies.contains("\(database.port)"), "\(bodies)")
        #expect(server.log.contains("\(database.port)"))
        #expect(!server.log.contains(PostgresServer.password))
        try database.restart()
        var status = 0
        while status != 200 { status = try await client.send("GET", "/sessions").status }
        #expect(try await client.send("POST", "/sessions", ["name": "two"]).status == 201)
        server.stop()
    }
}
