internal import Glibc
internal import TauCore
internal import TauSystem
internal import Yams

/// A part of `tau.yaml` whose names are the user's own, such as providers and models, with the path to it for errors.
struct ConfigurationTree {
    let path: String
    private let value: JSONValue?

    private init(path: String, value: JSONValue?) {
        self.path = path
        self.value = value
    }

    private static let maxFileBytes = 1 << 20

    /// Reads the whole file; one that is not there has nothing in it, unless it was asked for by name.
    init(file: String, isRequired: Bool) throws {
        guard isRequired || access(file, F_OK) == 0 else {
            self.init(path: "", value: nil)
            return
        }
        do {
            guard let bytes = try LocalFile.read(file, limit: Self.maxFileBytes) else {
                throw ConfigurationFailure(key: file, problem: "is longer than \(Self.maxFileBytes) bytes")
            }
            let node = try Yams.compose(yaml: String(decoding: bytes, as: UTF8.self))
            self.init(path: "", value: try node.map { try Self.value(of: $0, depth: 0) })
        } catch let failure as ConfigurationFailure {
            throw failure
        } catch let error as YamlError {
            throw ConfigurationFailure(key: file, problem: Self.problem(error))
        } catch {
            throw ConfigurationFailure(key: file, problem: "cannot be read: \(error)")
        }
    }

    /// The library's own words would show the line, which may hold a key.
    private static func problem(_ error: YamlError) -> String {
        switch error {
        case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
            .composer(_, let problem, let mark, _):
            "is no YAML at line \(mark.line), column \(mark.column): \(problem)"
        default: "is no YAML"
        }
    }

    private static func value(of node: Node, depth: Int) throws -> JSONValue {
        guard depth < 32 else { throw ConfigurationFailure(key: "tau.yaml", problem: "is nested too deeply") }
        if let mapping = node.mapping {
            var object = JSONObject()
            for (key, value) in mapping {
                object.update(key.string ?? "", to: try Self.value(of: value, depth: depth + 1))
            }
            return .object(object)
        }
        if let sequence = node.sequence {
            return .array(try sequence.map { try value(of: $0, depth: depth + 1) })
        }
        // Quoted scalars are text whatever they look like.
        if node.tag == Tag(.str) { return .string(node.string ?? "") }
        if let bool = node.bool { return .bool(bool) }
        if let integer = node.int { return .integer(integer) }
        if let double = node.float { return .double(double) }
        return node.null != nil ? .null : .string(node.string ?? "")
    }

    // MARK: Parts

    func failure(_ problem: String) -> ConfigurationFailure { ConfigurationFailure(key: path, problem: problem) }

    var exists: Bool { value.map { !$0.isNull } ?? false }

    subscript(name: String) -> ConfigurationTree {
        ConfigurationTree(path: path.isEmpty ? name : "\(path).\(name)", value: value?[name])
    }

    /// The members of a mapping; none where there is nothing.
    func members() throws -> [(name: String, tree: ConfigurationTree)] {
        guard let value, !value.isNull else { return [] }
        guard let object = value.object else { throw failure("must be a mapping") }
        return object.members.map { ($0.key, self[$0.key]) }
    }

    /// The members of a mapping that may only have these names: a misspelt one would be ignored for ever.
    func members(_ known: [String]) throws -> [(name: String, tree: ConfigurationTree)] {
        let members = try members()
        if let member = members.first(where: { !known.contains($0.name) }) {
            throw member.tree.failure("is unknown; there are \(known.joined(separator: ", "))")
        }
        return members
    }

    var raw: JSONValue { value ?? .null }

    func string() throws -> String {
        switch value {
        case .string(let text): return text
        case .number(let text): return text
        default: throw failure("must be a text")
        }
    }

    func strings() throws -> [String] {
        guard let array = value?.array else { throw failure("must be a list of texts") }
        return try array.enumerated().map { index, element in
            try ConfigurationTree(path: "\(path)[\(index)]", value: element).string()
        }
    }

    func integer(_ range: ClosedRange<Int>) throws -> Int {
        guard let number = value?.integer, range.contains(number) else {
            throw failure("must be a whole number from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    func number(_ range: ClosedRange<Double>) throws -> Double {
        guard let number = value?.double, range.contains(number) else {
            throw failure("must be a number from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    func bool() throws -> Bool {
        guard let bool = value?.bool else { throw failure("must be true or false") }
        return bool
    }
}
