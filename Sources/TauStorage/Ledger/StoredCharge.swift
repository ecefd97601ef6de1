internal import TauCore

/// Names of accounts as one text.
enum StoredNames {
    static func text(_ names: [String]) -> String { JSONValue.array(names.map { .string($0) }).text }

    static func parse(_ text: String) -> [String] {
        ((try? JSONValue(parsing: text))?.array ?? []).compactMap(\.string)
    }
}

/// A hold carries what it is charged as, as JSON.
extension Charge {
    var stored: String {
        var writer = JSONWriter()
        writer.object { writer in
            writer.member("id", id)
            writer.member("at", Int(time.milliseconds))
            writer.member("tenant", owner.tenantID)
            writer.member("user", owner.userID)
            writer.member("key", orNull: keyID)
            writer.member("session", sessionID.rawValue)
            writer.member("model", model.description)
            writer.member("input", input)
            writer.member("output", output)
            writer.member("nano", nanoDollars)
        }
        return String(decoding: writer.bytes, as: UTF8.self)
    }

    init?(storedIn text: String) {
        guard let json = try? JSONValue(parsing: text), let id = json["id"]?.string, let time = json["at"]?.integer,
            let tenant = json["tenant"]?.string, let user = json["user"]?.string,
            let session = json["session"]?.string, let model = json["model"]?.string.flatMap({ ModelReference($0) })
        else { return nil }
        self.init(
            id: id, time: Timestamp(milliseconds: Int64(time)), owner: Owner(tenantID: tenant, userID: user),
            keyID: json["key"]?.string, sessionID: SessionID(unchecked: session), model: model)
        input = json["input"]?.integer ?? 0
        output = json["output"]?.integer ?? 0
        nanoDollars = json["nano"]?.integer ?? 0
        isEstimated = true
    }
}
