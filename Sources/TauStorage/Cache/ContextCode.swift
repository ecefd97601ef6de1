internal import TauCore
internal import TauSystem

/// A context as bytes: a mark, a checksum of the rest, whose it is, its settings, and its messages, each part with its length in front.
enum ContextCode {
    private static let mark = Array("tau-context-1\n".utf8)

    static func encode(_ context: ModelContext, of leaf: EntryID, in session: SessionID) -> [UInt8] {
        var body: [UInt8] = []
        body.reserveCapacity(256 + context.messages.reduce(0) { $0 + $1.json.count + 64 })
        append(Array(session.rawValue.utf8), to: &body)
        append(Array(leaf.rawValue.utf8), to: &body)
        append(settings(context), to: &body)
        for message in context.messages {
            append(Array(message.role.rawValue.utf8), to: &body)
            append(Array(message.entryID.rawValue.utf8), to: &body)
            append(message.json, to: &body)
        }
        var bytes = mark
        bytes.reserveCapacity(mark.count + 4 + body.count)
        append(body.withUnsafeBytes { checksum($0) }, to: &bytes)
        return bytes + body
    }

    /// Nil for anything that `encode` has not made for this leaf.
    static func decode(_ bytes: [UInt8], of leaf: EntryID, in session: SessionID) -> ModelContext? {
        guard bytes.starts(with: mark), bytes.count >= mark.count + 4 else { return nil }
        var rest = bytes[mark.count...]
        guard let sum = number(&rest), sum == rest.withUnsafeBytes({ checksum($0) }) else { return nil }
        guard let owner = part(&rest), owner.elementsEqual(session.rawValue.utf8), let name = part(&rest),
            name.elementsEqual(leaf.rawValue.utf8), let settings = part(&rest),
            var context = context(settings)
        else { return nil }
        while !rest.isEmpty {
            guard let role = part(&rest).flatMap({ MessageRole(rawValue: String(decoding: $0, as: UTF8.self)) }),
                let id = part(&rest), let json = part(&rest)
            else { return nil }
            context.messages.append(
                .init(role: role, json: json, entryID: EntryID(unchecked: String(decoding: id, as: UTF8.self))))
        }
        return context
    }

    // MARK: Parts

    private static func append(_ part: some Collection<UInt8>, to bytes: inout [UInt8]) {
        append(UInt32(part.count), to: &bytes)
        bytes.append(contentsOf: part)
    }

    private static func append(_ number: UInt32, to bytes: inout [UInt8]) {
        withUnsafeBytes(of: number.bigEndian) { bytes.append(contentsOf: $0) }
    }

    private static func number(_ bytes: inout ArraySlice<UInt8>) -> UInt32? {
        guard bytes.count >= 4 else { return nil }
        defer { bytes = bytes.dropFirst(4) }
        return bytes.prefix(4).reduce(0) { $0 << 8 | UInt32($1) }
    }

    private static func part(_ bytes: inout ArraySlice<UInt8>) -> ArraySlice<UInt8>? {
        guard let count = number(&bytes), bytes.count >= Int(count) else { return nil }
        defer { bytes = bytes.dropFirst(Int(count)) }
        return bytes.prefix(Int(count))
    }

    private static func settings(_ context: ModelContext) -> [UInt8] {
        var writer = JSONWriter()
        writer.object { writer in
            writer.member("freshStart", context.freshStart)
            writer.member("thinkingLevel", context.settings.thinkingLevel)
            writer.member("isModelAutomatic", context.settings.isModelAutomatic)
            writer.member("provider", ifPresent: context.settings.model?.provider)
            writer.member("model", ifPresent: context.settings.model?.id)
            if let names = context.settings.activeToolNames {
                writer.key("tools")
                writer.array { writer in for name in names { writer.string(name) } }
            }
        }
        return writer.bytes
    }

    private static func context(_ settings: ArraySlice<UInt8>) -> ModelContext? {
        guard let json = try? JSONValue(parsing: settings) else { return nil }
        var context = ModelContext()
        context.freshStart = json["freshStart"]?.integer ?? 0
        context.settings.thinkingLevel = json["thinkingLevel"]?.string ?? context.settings.thinkingLevel
        context.settings.isModelAutomatic = json["isModelAutomatic"]?.bool ?? false
        context.settings.activeToolNames = json["tools"]?.array?.compactMap(\.string)
        if let provider = json["provider"]?.string, let model = json["model"]?.string {
            context.settings.model = ModelReference(provider: provider, id: model)
        }
        return context
    }
}
