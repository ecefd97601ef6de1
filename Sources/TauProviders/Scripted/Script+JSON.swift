internal import Glibc
internal import TauCore

extension Script {
    private static let maxFileBytes = 16 << 20

    /// Reads a script; the error names the place that is wrong, such as `replies[2].content[0].type`.
    package init(parsing bytes: [UInt8]) throws(ProvidersConfigurationError) {
        let json: JSONValue
        do {
            json = try JSONValue(parsing: bytes, limits: .request)
        } catch {
            throw ProvidersConfigurationError("the script", "is not JSON: \(error)")
        }
        let root = ScriptNode(path: "", json: json)
        try root.check(keys: ["replies", "loop", "chunkSize", "chunkDelayMs", "delayMs"])
        let replies = try root.required("replies").elements()
        guard !replies.isEmpty else { throw try root.required("replies").error("must not be empty") }
        self.init(
            replies: try replies.map { node throws(ProvidersConfigurationError) in
                try Self.reply(node, defaults: root)
            }, loops: try root["loop"]?.bool() ?? false)
    }

    static func load(path: String) throws(ProvidersConfigurationError) -> Script {
        guard let file = fopen(path, "re") else {
            throw ProvidersConfigurationError(
                "models.script", "\(path) cannot be read: \(String(cString: strerror(errno)))")
        }
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while bytes.count <= maxFileBytes {
            let count = fread(&buffer, 1, buffer.count, file)
            guard count > 0 else { break }
            bytes.append(contentsOf: buffer[..<count])
        }
        guard ferror(file) == 0, bytes.count <= maxFileBytes else {
            throw ProvidersConfigurationError("models.script", "\(path) cannot be read, or is longer than 16 MiB")
        }
        do throws(ProvidersConfigurationError) {
            return try Script(parsing: bytes)
        } catch {
            throw ProvidersConfigurationError("models.script", "\(path): \(error)")
        }
    }

    // MARK: Parts

    private static func reply(
        _ node: ScriptNode, defaults: ScriptNode
    ) throws(ProvidersConfigurationError) -> Reply {
        try node.check(keys: [
            "when", "content", "stopReason", "usage", "delayMs", "chunkDelayMs", "chunkSize", "errorBefore",
            "errorAfterEvents",
        ])
        var reply = Reply(content: try content(node))
        if let condition = node["when"] {
            try condition.check(keys: ["contains"])
            reply.contains = try condition.required("contains").string()
        }
        if let reason = node["stopReason"] {
            let reasons: [String: StopReason] = ["stop": .stop, "length": .length, "toolUse": .toolUse]
            reply.stopReason = try reason.choice(reasons)
        }
        reply.usage = try node["usage"].map(usage)
        func setting(_ key: String) -> ScriptNode? { node[key] ?? defaults[key] }
        if let delay = setting("delayMs") { reply.delay = .milliseconds(try delay.integer(0...3_600_000)) }
        if let delay = setting("chunkDelayMs") { reply.chunkDelay = .milliseconds(try delay.integer(0...3_600_000)) }
        if let size = setting("chunkSize") { reply.chunkSize = try size.integer(1...1_000_000) }
        reply.failure = try failure(node)
        return reply
    }

    private static func content(_ node: ScriptNode) throws(ProvidersConfigurationError) -> [Block] {
        guard let content = node["content"] else {
            // A reply that fails at once needs none.
            if node["errorBefore"] != nil { return [] }
            throw node.error("needs content")
        }
        if let text = content.json.string { return [.text(text)] }
        return try content.elements().map { block throws(ProvidersConfigurationError) in try Self.block(block) }
    }

    private static func block(_ node: ScriptNode) throws(ProvidersConfigurationError) -> Block {
        switch try node.required("type").string() {
        case "text":
            try node.check(keys: ["type", "text"])
            return .text(try node.required("text").string())
        case "thinking":
            try node.check(keys: ["type", "thinking", "signature"])
            return .thinking(try node.required("thinking").string(), signature: try node["signature"]?.string())
        case "toolCall":
            try node.check(keys: ["type", "id", "name", "arguments", "argumentsText"])
            var arguments = try node["argumentsText"]?.string() ?? "{}"
            if let object = node["arguments"] {
                guard object.json.object != nil else { throw object.error("must be an object") }
                arguments = object.json.text
            }
            return .toolCall(
                id: try node["id"]?.string(), name: try node.required("name").string(), arguments: arguments)
        default: throw try node.required("type").error("must be text, thinking or toolCall")
        }
    }

    private static func usage(_ node: ScriptNode) throws(ProvidersConfigurationError) -> Usage {
        try node.check(keys: ["input", "output", "cacheRead", "cacheWrite"])
        func count(_ key: String) throws(ProvidersConfigurationError) -> Int {
            try node[key]?.integer(0...1_000_000_000) ?? 0
        }
        return Usage(
            input: try count("input"), output: try count("output"), cacheRead: try count("cacheRead"),
            cacheWrite: try count("cacheWrite"))
    }

    private static func failure(_ node: ScriptNode) throws(ProvidersConfigurationError) -> Failure? {
        if let before = node["errorBefore"] {
            try before.check(keys: ["code", "message", "retryAfter", "times"])
            return try failure(before, afterEvents: 0)
        }
        guard let after = node["errorAfterEvents"] else { return nil }
        if case .number = after.json {
            let events = try after.integer(0...1_000_000)
            return Failure(afterEvents: events, code: .network, message: "The connection broke off.")
        }
        try after.check(keys: ["events", "code", "message", "retryAfter", "times"])
        return try failure(after, afterEvents: try after.required("events").integer(0...1_000_000))
    }

    private static func failure(
        _ node: ScriptNode, afterEvents: Int
    ) throws(ProvidersConfigurationError) -> Failure {
        let codes: [String: ProviderError.Code] = [
            "rateLimited": .rateLimited, "overloaded": .overloaded, "contextTooLong": .contextTooLong,
            "refused": .refused, "badRequest": .badRequest, "unauthorized": .unauthorized,
            "quotaExceeded": .quotaExceeded, "network": .network, "timedOut": .timedOut, "malformed": .malformed,
            "cancelled": .cancelled,
        ]
        return Failure(
            afterEvents: afterEvents, code: try node.required("code").choice(codes),
            message: try node["message"]?.string() ?? "The script says so.",
            retryAfter: try node["retryAfter"]?.number(), times: try node["times"]?.integer(1...1_000_000))
    }
}

/// A value of a script and where it stands.
private struct ScriptNode {
    let path: String
    let json: JSONValue

    func error(_ problem: String) -> ProvidersConfigurationError {
        ProvidersConfigurationError(path.isEmpty ? "the script" : path, problem)
    }

    subscript(key: String) -> ScriptNode? {
        json[key].map { ScriptNode(path: path.isEmpty ? key : "\(path).\(key)", json: $0) }
    }

    func required(_ key: String) throws(ProvidersConfigurationError) -> ScriptNode {
        guard let node = self[key] else { throw error("needs \(key)") }
        return node
    }

    /// A misspelt key would be ignored silently otherwise.
    func check(keys: Set<String>) throws(ProvidersConfigurationError) {
        guard let object = json.object else { throw error("must be an object") }
        guard let unknown = object.members.first(where: { !keys.contains($0.key) }) else { return }
        throw error("has the unknown key \"\(unknown.key)\"; known are \(keys.sorted().joined(separator: ", "))")
    }

    func elements() throws(ProvidersConfigurationError) -> [ScriptNode] {
        guard let elements = json.array else { throw error("must be an array") }
        return elements.enumerated().map { ScriptNode(path: "\(path)[\($0.offset)]", json: $0.element) }
    }

    func string() throws(ProvidersConfigurationError) -> String {
        guard let text = json.string else { throw error("must be a string") }
        return text
    }

    func bool() throws(ProvidersConfigurationError) -> Bool {
        guard let flag = json.bool else { throw error("must be true or false") }
        return flag
    }

    func number() throws(ProvidersConfigurationError) -> Double {
        guard let number = json.double, number >= 0 else { throw error("must be a number that is not negative") }
        return number
    }

    func integer(_ range: ClosedRange<Int>) throws(ProvidersConfigurationError) -> Int {
        guard let number = json.integer, range.contains(number) else {
            throw error("must be a whole number from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    func choice<Value>(_ choices: [String: Value]) throws(ProvidersConfigurationError) -> Value {
        guard let value = json.string.flatMap({ choices[$0] }) else {
            throw error("must be one of \(choices.keys.sorted().joined(separator: ", "))")
        }
        return value
    }
}
