internal import HTTPTypes
internal import Hummingbird
internal import NIOCore
internal import TauCore
internal import TauRuntime

/// The fields of a JSON request body: read one by one, and everything that is wrong is told at once.
struct RequestFields {
    private let object: JSONObject
    private var known: Set<String> = []
    private var problems: [RuntimeError.Detail] = []

    /// An empty body counts as an object without fields.
    init(_ body: ByteBuffer) throws(Problem) {
        guard body.readableBytes > 0 else {
            object = JSONObject()
            return
        }
        let value: JSONValue
        do throws(JSONError) {
            value = try JSONValue(parsing: body.readableBytesView, limits: .request)
        } catch {
            throw Problem(
                .badRequest, "The body is not valid JSON: \(error).", errors: [.init(path: "", message: error.reason)])
        }
        guard let object = value.object else {
            throw Problem(
                .badRequest, "The body must be a JSON object.", errors: [.init(path: "", message: "not an object")])
        }
        self.object = object
    }

    mutating func refuse(_ path: String, _ message: String) {
        problems.append(.init(path: path, message: message))
    }

    /// The value of a field; nil if it is missing or null.
    mutating func value(_ name: String) -> JSONValue? {
        known.insert(name)
        guard let value = object[name], !value.isNull else { return nil }
        return value
    }

    /// Whether the field is there, as null or otherwise.
    func contains(_ name: String) -> Bool { object[name] != nil }

    mutating func string(_ name: String, maxBytes: Int = 1000) -> String? {
        guard let value = value(name) else { return nil }
        guard let text = value.string else {
            refuse(name, "must be a string")
            return nil
        }
        guard text.utf8.count <= maxBytes else {
            refuse(name, "must be at most \(maxBytes) bytes long")
            return nil
        }
        return text
    }

    mutating func integer(_ name: String, in range: ClosedRange<Int>) -> Int? {
        guard let value = value(name) else { return nil }
        guard let number = value.integer, range.contains(number) else {
            refuse(name, "must be a whole number from \(range.lowerBound) to \(range.upperBound)")
            return nil
        }
        return number
    }

    mutating func number(_ name: String, in range: ClosedRange<Double>) -> Double? {
        guard let value = value(name) else { return nil }
        guard let number = value.double, range.contains(number) else {
            refuse(name, "must be a number from \(range.lowerBound) to \(range.upperBound)")
            return nil
        }
        return number
    }

    mutating func bool(_ name: String) -> Bool? {
        guard let value = value(name) else { return nil }
        if value.bool == nil { refuse(name, "must be true or false") }
        return value.bool
    }

    mutating func object(_ name: String) -> JSONObject? {
        guard let value = value(name) else { return nil }
        guard let object = value.object else {
            refuse(name, "must be an object")
            return nil
        }
        return object
    }

    mutating func strings(_ name: String) -> [String]? {
        guard let value = value(name) else { return nil }
        guard let elements = value.array, case let texts = elements.compactMap(\.string), texts.count == elements.count
        else {
            refuse(name, "must be a list of strings")
            return nil
        }
        return texts
    }

    mutating func time(_ name: String) -> Timestamp? {
        guard let text = string(name) else { return nil }
        guard let time = Timestamp(text) else {
            refuse(name, "must be a time such as 2026-12-31T00:00:00.000Z")
            return nil
        }
        return time
    }

    mutating func choice<Choice: RawRepresentable>(_ name: String, of type: Choice.Type, _ names: [String]) -> Choice?
    where Choice.RawValue == String {
        guard let text = string(name) else { return nil }
        guard let choice = Choice(rawValue: text) else {
            refuse(name, "must be one of \(names.joined(separator: ", "))")
            return nil
        }
        return choice
    }

    mutating func thinkingLevel(_ name: String) -> ThinkingLevel? {
        choice(name, of: ThinkingLevel.self, ThinkingLevel.allCases.map(\.rawValue))
    }

    mutating func model(_ name: String) -> ModelReference? {
        guard let text = string(name) else { return nil }
        guard let model = ModelReference(text) else {
            refuse(name, "must have the form provider/id")
            return nil
        }
        return model
    }

    /// A message: text, or text and image blocks.
    mutating func content(_ name: String) -> [ContentBlock] {
        guard let value = value(name) else {
            refuse(name, "is required")
            return []
        }
        if let text = value.string {
            if text.isEmpty { refuse(name, "must not be empty") }
            return [.text(text)]
        }
        guard let elements = value.array, !elements.isEmpty else {
            refuse(name, "must be a string or a list of content blocks")
            return []
        }
        return elements.enumerated().compactMap { index, element in
            let path = "\(name).\(index)"
            switch ContentBlock(json: element) {
            case .text(let block) where element["text"]?.string != nil: return .text(TextBlock(text: block.text))
            case .image(let block) where !block.data.isEmpty && !block.mimeType.isEmpty: return .image(block)
            case .text: refuse("\(path).text", "must be a string")
            case .image: refuse(path, "an image needs data (base64) and mimeType")
            case .thinking, .toolCall, nil: refuse("\(path).type", "must be text or image")
            }
            return nil
        }
    }

    /// Call last: throws everything that was wrong, unknown fields included.
    mutating func finish() throws(Problem) {
        for member in object.members where !known.contains(member.key) {
            refuse(member.key, "is not a known field")
        }
        guard !problems.isEmpty else { return }
        let summary = problems.map { "\($0.path) \($0.message)" }.joined(separator: "; ")
        throw Problem(.badRequest, "The request is not valid: \(summary).", errors: problems)
    }
}

extension Request {
    /// The parameter of the query, checked by `read`; nil if it is missing.
    func query<Value>(_ name: String, _ expected: String, _ read: (String) -> Value?) throws(Problem) -> Value? {
        guard let text = uri.queryParameters[Substring(name)].map(String.init) else { return nil }
        guard let value = read(text) else {
            throw Problem(
                .badRequest, "\(name) must be \(expected).", errors: [.init(path: name, message: "must be \(expected)")]
            )
        }
        return value
    }

    /// `limit` of a list.
    func pageLimit() throws(Problem) -> Int {
        try query("limit", "a whole number from 1 to 200") { text in
            Int(text).flatMap { (1...200).contains($0) ? $0 : nil }
        } ?? 50
    }

    /// The whole body. It stays with the request, so that a client that leaves is noticed while its answer is streamed.
    mutating func boundedBody(upTo maxBytes: Int) async throws -> ByteBuffer {
        let problem = Problem(.payloadTooLarge, "The body is larger than \(maxBytes) bytes.")
        if let length = headers[.contentLength].flatMap({ Int($0) }), length > maxBytes { throw problem }
        do {
            return try await collectBody(upTo: maxBytes)
        } catch is NIOTooManyBytesError {
            throw problem
        } catch is CancellationError {
            throw CancellationError()
        } catch {
            // The client's own framing of it is broken, or the client is gone.
            throw Problem(.badRequest, "The body could not be read.")
        }
    }
}
