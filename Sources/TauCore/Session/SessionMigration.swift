/// Brings a file of version 1 or 2 to version 3; every byte that the change does not need stays.
///
/// 1 to 2: every entry gets an id and its predecessor as parent, and a compaction's `firstKeptEntryIndex` (an index into the
/// valid lines, the header being 0) becomes that line's id. 2 to 3: the message role `hookMessage` becomes `custom`.
struct SessionMigration {
    private(set) var content: [UInt8] = []

    init(header: SessionHeader, lines: [Range<Int>], content old: [UInt8], identifiers: IdentifierSource) {
        content.reserveCapacity(old.count + lines.count * 48)
        append(Self.line(header.line, settingVersion: SessionHeader.currentVersion))
        var taken: Set<EntryID> = []
        var previous: EntryID?
        // The ids of the lines that are valid JSON, the header first, as the old index counts them.
        var idsByIndex: [EntryID?] = [nil]
        for range in lines.dropFirst() {
            guard let json = try? JSONValue(parsing: old[range]) else {
                append(old[range])
                continue
            }
            // What makes no entry (a second header, a value without a type) counts for the index but joins no chain.
            guard var object = json.object, let type = object["type"]?.string, type != "session" else {
                idsByIndex.append(nil)
                append(old[range])
                continue
            }
            guard header.version == 1 else {
                append(Self.renamesHookMessage(&object) ? JSONValue.object(object).serialized[...] : old[range])
                continue
            }
            let id = identifiers.entryID { taken.contains($0) }
            taken.insert(id)
            idsByIndex.append(id)
            append(Self.chained(old[range], &object, id: id, parent: previous, idsByIndex))
            previous = id
        }
    }

    private mutating func append(_ line: ArraySlice<UInt8>) {
        content.append(contentsOf: line)
        content.append(UInt8(ascii: "\n"))
    }

    private static func chained(
        _ line: ArraySlice<UInt8>, _ object: inout JSONObject, id: EntryID, parent: EntryID?, _ idsByIndex: [EntryID?]
    ) -> ArraySlice<UInt8> {
        var needsRewrite = renamesHookMessage(&object)
        if object["type"]?.string == "compaction", let index = object["firstKeptEntryIndex"]?.integer {
            object["firstKeptEntryIndex"] = nil
            if idsByIndex.indices.contains(index), let target = idsByIndex[index] {
                object.update("firstKeptEntryId", to: .string(target.rawValue))
            }
            needsRewrite = true
        }
        if needsRewrite || object["id"] != nil || object["parentId"] != nil {
            object.update("id", to: .string(id.rawValue))
            object.update("parentId", to: parent.map { .string($0.rawValue) } ?? .null)
            return JSONValue.object(object).serialized[...]
        }
        var writer = JSONWriter()
        writer.object { writer in
            writer.member("id", id.rawValue)
            writer.member("parentId", orNull: parent?.rawValue)
        }
        return inserted(writer.bytes, intoEndOf: line, isEmpty: object.members.isEmpty)
    }

    private static func renamesHookMessage(_ object: inout JSONObject) -> Bool {
        guard object["type"]?.string == "message", var message = object["message"]?.object,
            message["role"]?.string == "hookMessage"
        else { return false }
        message.update("role", to: "custom")
        object.update("message", to: .object(message))
        return true
    }

    private static func line(_ line: ArraySlice<UInt8>, settingVersion version: Int) -> ArraySlice<UInt8> {
        guard let json = try? JSONValue(parsing: line), var object = json.object else { return line }
        if object["version"] != nil {
            object.update("version", to: .integer(version))
            return JSONValue.object(object).serialized[...]
        }
        return inserted(Array("{\"version\":\(version)}".utf8), intoEndOf: line, isEmpty: object.members.isEmpty)
    }

    /// Puts the members of one object before the closing brace of another.
    private static func inserted(
        _ members: [UInt8], intoEndOf line: ArraySlice<UInt8>, isEmpty: Bool
    ) -> ArraySlice<UInt8> {
        guard let brace = line.lastIndex(of: UInt8(ascii: "}")) else { return line }
        var result = line[..<brace]
        if !isEmpty { result.append(UInt8(ascii: ",")) }
        result.append(contentsOf: members.dropFirst())
        return result
    }
}
