internal import ArgumentParser
internal import TauCore
internal import TauRuntime
internal import TauSystem

/// `tau store check`.
struct StoreCheckCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check", abstract: "Look for everything that is out of order in session files.",
        discussion: """
            Reads the files and changes none. A line that cannot be read stays where it is and is skipped by every reader; this
            command tells where it is. --repair writes a valid copy beside each file that has errors, as ID.jsonl.repaired;
            the original stays. To use it, stop the server and rename the copy.

            EXAMPLES
              tau store check
              tau store check --notes
              tau store check 01a20aeb-… --repair
              tau store check --json | jq '.files[] | select(.findings != [])'

            EXIT CODES
              0   no errors (warnings and notes may be there)
              1   errors were found         78   wrong configuration
              74  a file or the directory cannot be read or written
            """)

    @OptionGroup var options: StoreOptions
    @Argument(help: "Sessions' ids; without one all are checked.") var ids: [String] = []

    @Flag(help: "Write a repaired copy beside each file with errors.")
    var repair = false

    @Flag(help: "Also show what is only worth knowing.")
    var notes = false

    @Flag(help: "As JSON, notes included.")
    var json = false

    func validate() throws {
        for id in ids where SessionID(id) == nil { throw ValidationError("\"\(id)\" is no session id") }
    }

    func run() async throws {
        let hasErrors = try await ClientOptions.reporting { () async throws -> Bool in
            let configuration = try await options.load()
            do throws(SystemError) {
                return try check(configuration)
            } catch {
                Terminal.complain("\(configuration.sessionsDirectory): \(error)")
                throw ExitCode(74)
            }
        }
        if hasErrors { throw ExitCode(1) }
    }

    private func check(_ configuration: ServerConfiguration) throws(SystemError) -> Bool {
        let directory = try Directory(path: configuration.sessionsDirectory)
        let names = try names(in: directory)
        let limits = SessionFile.Limits(maxLineBytes: configuration.runtime.maxLineBytes)
        let progress = ProgressLine("files")
        var reports: [Report] = []
        for (index, name) in names.enumerated() {
            var report = Report(id: name)
            do throws(SystemError) {
                if let content = try read(name, in: directory, limit: configuration.maxImportBytes) {
                    report.check = SessionCheck(content, name: name, limits: limits)
                    if repair, report.hasErrors { report.repair(content, name, limits, in: directory) }
                } else {
                    report.problem =
                        "it is no regular file, or longer than \(configuration.maxImportBytes) bytes (http.maxImportBytes)"
                }
            } catch {
                report.problem = "\(error)"
            }
            progress.show(index + 1, of: names.count)
            reports.append(report)
        }
        progress.end()
        if json {
            Terminal.writeJSON(["files": .array(reports.map(\.json))])
        } else {
            for report in reports { for line in report.lines(withNotes: notes) { print(line) } }
            print(Self.summary(reports))
        }
        return reports.contains { $0.hasErrors }
    }

    private static func summary(_ reports: [Report]) -> String {
        let findings = reports.flatMap { $0.check?.findings ?? [] }
        func count(_ severity: SessionCheck.Severity) -> Int { findings.count { $0.severity == severity } }
        let unread = reports.count { $0.problem != nil }
        return
            "\(reports.count) files: \(count(.error) + unread) errors, \(count(.warning)) warnings, \(count(.note)) notes"
    }

    private static let suffix = Array(".jsonl".utf8)
    /// Names that are looked at in one directory.
    private static let maxNames = 10_000_000

    private func names(in directory: Directory) throws(SystemError) -> [SessionID] {
        guard ids.isEmpty else { return ids.compactMap { SessionID($0) } }
        let all = try directory.names(limit: Self.maxNames).compactMap { name -> SessionID? in
            guard name.suffix(Self.suffix.count).elementsEqual(Self.suffix) else { return nil }
            return SessionID(String(decoding: name.dropLast(Self.suffix.count), as: UTF8.self))
        }
        return all.sorted { $0.rawValue < $1.rawValue }
    }

    private func read(
        _ id: SessionID, in directory: Directory, limit: Int
    ) throws(SystemError) -> [UInt8]? {
        let file = try directory.openFile(Array("\(id).jsonl".utf8), links: .refused)
        guard try file.status().kind == .regular else { return nil }
        return try file.readAll(limit: limit)
    }

    /// What was found in one file.
    private struct Report {
        var id: SessionID
        var check: SessionCheck?
        /// Why the file could not be looked at.
        var problem: String?
        var repairs: [String] = []

        init(id: SessionID) { self.id = id }

        var hasErrors: Bool { problem != nil || check?.worst == .error }

        mutating func repair(
            _ content: [UInt8], _ name: SessionID, _ limits: SessionFile.Limits, in directory: Directory
        ) {
            do throws(EntryError) {
                let repair = try SessionRepair(content, name: name, limits: limits)
                try Self.write(repair.bytes, Array("\(id).jsonl.repaired".utf8), in: directory)
                repairs = repair.actions + ["wrote \(id).jsonl.repaired"]
            } catch {
                repairs = ["not repaired: \(error)"]
            }
        }

        private static func write(
            _ bytes: [UInt8], _ name: [UInt8], in directory: Directory
        ) throws(EntryError) {
            let temporary = Array(".repair-\(UInt64.random(in: .min ... .max))".utf8)
            do throws(SystemError) {
                let file = try directory.createFile(temporary, mode: 0o600)
                do throws(SystemError) {
                    try file.write(bytes)
                    try file.synchronize()
                    try directory.rename(temporary, to: name)
                    try directory.descriptor.synchronize()
                } catch {
                    try? directory.removeFile(temporary)
                    throw error
                }
            } catch {
                throw EntryError(reason: "the copy cannot be written: \(error)")
            }
        }

        func lines(withNotes: Bool) -> [String] {
            var lines: [String] = []
            if let problem { lines.append("\(id): \(Terminal.styled("error", .red)) \(Terminal.line(problem, 300))") }
            for finding in check?.findings ?? [] where withNotes || finding.severity != .note {
                let place = finding.line.map { ":\($0)" } ?? ""
                let severity = Terminal.styled(finding.severity.rawValue, finding.severity == .error ? .red : .dim)
                lines.append(
                    "\(id)\(place): \(severity) \(finding.kind.rawValue): \(Terminal.line(finding.message, 300))")
            }
            return lines + repairs.map { "\(id): \(Terminal.line($0, 300))" }
        }

        var json: JSONValue {
            var object = JSONObject(members: [
                .init(key: "id", value: .string(id.rawValue)),
                .init(key: "entryCount", value: .integer(check?.entryCount ?? 0)),
                .init(key: "findings", value: .array((check?.findings ?? []).map(Self.json))),
            ])
            if let problem { object.update("problem", to: .string(problem)) }
            if !repairs.isEmpty { object.update("repairs", to: .array(repairs.map { .string($0) })) }
            return .object(object)
        }

        private static func json(_ finding: SessionCheck.Finding) -> JSONValue {
            var object = JSONObject(members: [
                .init(key: "severity", value: .string(finding.severity.rawValue)),
                .init(key: "kind", value: .string(finding.kind.rawValue)),
            ])
            if let line = finding.line { object.update("line", to: .integer(line)) }
            if let id = finding.entryID { object.update("entryId", to: .string(id.rawValue)) }
            object.update("message", to: .string(finding.message))
            return .object(object)
        }
    }
}
