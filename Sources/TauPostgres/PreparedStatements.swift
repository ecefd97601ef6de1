/// Which statements one connection has prepared; the one used longest ago is forgotten first.
///
/// A statement's name is made of its text and types alone: behind a proxy that hands connections around, a name that one
/// client has prepared may be executed by another, and must then mean the same.
struct PreparedStatements {
    struct Key: Hashable {
        var text: String
        var types: [UInt32]

        /// By 128 bits of FNV-1a (two of 64 bits with different beginnings): the texts are the program's own, so nobody
        /// looks for two that collide.
        var name: String {
            func hash(_ start: UInt64) -> String {
                var hash = start
                func add(_ byte: UInt8) { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01B3 }
                for type in types { for byte in PostgresValue.bigEndian(type) { add(byte) } }
                for byte in text.utf8 { add(byte) }
                return String(hash, radix: 16)
            }
            return "tau_\(hash(0xCBF2_9CE4_8422_2325))_\(hash(0x8422_2325_CBF2_9CE4))"
        }
    }

    enum Use: Equatable {
        case known(String)
        /// To be prepared under this name, after the other one has been given up.
        case new(String, forgotten: String?)
    }

    private var names: [Key: (name: String, lastUse: Int)] = [:]
    private var uses = 0

    mutating func use(_ key: Key, limit: Int) -> Use {
        uses += 1
        if let known = names[key] {
            names[key]?.lastUse = uses
            return .known(known.name)
        }
        var forgotten: String?
        if names.count >= max(1, limit), let oldest = names.min(by: { $0.value.lastUse < $1.value.lastUse }) {
            forgotten = oldest.value.name
            names[oldest.key] = nil
        }
        let name = key.name
        names[key] = (name, uses)
        return .new(name, forgotten: forgotten)
    }

    /// The server has not prepared it after all.
    mutating func forget(_ name: String) {
        for (key, value) in names where value.name == name { names[key] = nil }
    }
}
