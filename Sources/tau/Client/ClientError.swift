internal import TauCore

/// Why a command could not do what it was asked, with the exit code that says so.
struct ClientError: Error, CustomStringConvertible {
    enum Kind {
        /// The server does not answer.
        case unreachable
        /// The key is missing or not valid, or does not allow this.
        case refused
        /// The server answered with a problem; `code` is its stable name.
        case problem(code: String)
        /// Something on this side: a file, a terminal.
        case local
        /// The command was not used as its help says.
        case usage
    }

    var kind: Kind
    var description: String

    init(_ kind: Kind, _ description: String) {
        self.kind = kind
        self.description = description
    }

    /// The problem details of an answer, with every place that was wrong.
    init(status: Int, body: [UInt8]) {
        let json = try? JSONValue(parsing: body)
        let code = json?["code"]?.string ?? "http_\(status)"
        var text = json?["detail"]?.string ?? "the server answered \(status)"
        for error in json?["errors"]?.array ?? [] {
            text += "\n  \(error["path"]?.string ?? ""): \(error["message"]?.string ?? "")"
        }
        self.init(status == 401 || status == 403 ? .refused : .problem(code: code), text)
    }

    /// Whether the same call may succeed on a new connection.
    var isUnreachable: Bool {
        if case .unreachable = kind { true } else { false }
    }

    /// As in sysexits.h: 64 usage, 69 unavailable, 77 no permission; 1 for everything else.
    var exitCode: Int32 {
        switch kind {
        case .usage: 64
        case .unreachable: 69
        case .refused: 77
        case .problem, .local: 1
        }
    }
}
