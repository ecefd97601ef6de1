import Foundation
import TauCore
import TauTestKit
import Testing

/// What lies in `deploy/` fits the program and the documentation.
@Suite(.ownThreads, .timeLimit(.minutes(2))) struct DeploymentTests {
    private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().path

    private static func text(_ path: String) throws -> String {
        try String(contentsOfFile: root + "/" + path, encoding: .utf8)
    }

    @Test func `the alerts fire when they should, and the operator is told what to do`() throws {
        let result = try TestTools.run(
            "/usr/bin/promtool", ["test", "rules", "tau.rules.test.yaml"], in: Self.root + "/deploy/prometheus")
        #expect(result.code == 0, "\(result.output)")
        let rules = try Self.text("deploy/prometheus/tau.rules.yaml")
        let operations = try Self.text("docs/operations.md")
        let names = rules.matches(of: #/- alert: (\w+)/#).map { String($0.output.1) }
        #expect(names.count > 10)
        for name in names { #expect(operations.contains("### \(name)\n"), "\(name) is not in docs/operations.md") }
        for name in names { #expect(try Self.text("deploy/prometheus/tau.rules.test.yaml").contains(name), "\(name)") }
    }

    @Test func `alerts and dashboard ask for metrics that there are`() throws {
        let board = try Self.text("deploy/grafana/tau.json")
        let panels = try #require(JSONValue(parsing: board)["panels"]?.array)
        #expect(panels.count > 15)
        let known = Set(
            Measurements.all.flatMap { measurement in
                ["", "_bucket", "_sum", "_count"].map { measurement.name + $0 }
            })
        let asked = try [board, Self.text("deploy/prometheus/tau.rules.yaml")].flatMap { text in
            text.matches(of: #/\b(?:tau|tool)_[a-z_]+/#).map { String($0.output) }
        }
        let others: Set<String> = ["tool_name", "tau_metrics"]
        for name in Set(asked).subtracting(others) { #expect(known.contains(name), "\(name) is not measured") }
        // Nothing is measured that nobody is told of.
        let operations = try Self.text("docs/operations.md")
        for measurement in Measurements.all {
            #expect(operations.contains("`\(measurement.name)`"), "\(measurement.name) is not in docs/operations.md")
        }
    }

    @Test func `logrotate moves the files away, and the server goes on in new ones`() async throws {
        let directory = try TemporaryDirectory()
        let server = try TauProcess(in: directory, environment: ["TAU_LOG_DIR": directory.path + "/log"])
        let configuration = try Self.text("deploy/systemd/tau.logrotate")
            .replacing("/var/log/tau/", with: directory.path + "/log/").replacing("daily", with: "size 1")
            .replacing(
                "systemctl kill --signal=HUP --kill-who=main tau.service", with: "kill -HUP \(server.processID)")
        let path = directory.path + "/logrotate.conf"
        let su = getuid() == 0 ? "su root root\n" : ""
        try Data((su + configuration).utf8).write(to: URL(fileURLWithPath: path))
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: path)
        let combined = directory.path + "/log/combined.log"
        while ((try? String(contentsOfFile: combined, encoding: .utf8)) ?? "").isEmpty {}
        let result = try TestTools.run(
            "/usr/sbin/logrotate", ["--state", directory.path + "/state", path], in: directory.path)
        #expect(result.code == 0, "\(result.output)")
        let old = try String(contentsOfFile: combined + ".1", encoding: .utf8)
        #expect(old.contains("Server started"))
        // A new file comes with the signal, and what is logged from then on.
        let client = APIClient(server)
        let session = try await client.newSession()
        while !((try? String(contentsOfFile: combined, encoding: .utf8)) ?? "").contains("tool_execution") {
            _ = try await client.run(#"Use ls with path="."."#, in: session)
        }
        server.stop()
        #expect(try !String(contentsOfFile: combined, encoding: .utf8).contains("Server started"))
    }
}
