internal import ArgumentParser
internal import TauCore

/// What `tau run` does about tool calls that need an approval.
enum ApprovalMode: String, ExpressibleByArgument, CaseIterable {
    /// Asks the person at the terminal.
    case ask
    case approve
    case deny
    /// Leaves it to others: `tau runs approve`.
    case wait

    /// Where nobody can be asked nothing is approved.
    static var standard: ApprovalMode { Terminal.inputIsTerminal && Terminal.errorsAreTerminal ? .ask : .deny }

    /// The decision on one call, as the API takes it; nil leaves it to others.
    func decision() async -> JSONValue? {
        switch self {
        case .approve: return ["decision": "approve"]
        case .deny: return ["decision": "deny", "reason": "nobody is there to ask"]
        case .wait: return nil
        case .ask:
            Terminal.noteWithoutEnd("  allow it? [y/N, or why not] ")
            let answer = await Terminal.readLine() ?? ""
            switch answer.lowercased() {
            case "y", "yes": return ["decision": "approve"]
            case "", "n", "no": return ["decision": "deny"]
            default: return ["decision": "deny", "reason": .string(answer)]
            }
        }
    }
}
