/// Base64 of RFC 4648 with padding.
enum Base64 {
    static func encode(_ bytes: [UInt8]) -> String {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
        let padding = UInt8(ascii: "=")
        return String(unsafeUninitializedCapacity: (bytes.count + 2) / 3 * 4) { buffer in
            var position = 0
            for start in stride(from: 0, to: bytes.count, by: 3) {
                let count = min(3, bytes.count - start)
                var group = UInt32(bytes[start]) << 16
                if count > 1 { group |= UInt32(bytes[start + 1]) << 8 }
                if count > 2 { group |= UInt32(bytes[start + 2]) }
                buffer[position] = alphabet[Int(group >> 18)]
                buffer[position + 1] = alphabet[Int(group >> 12 & 63)]
                buffer[position + 2] = count > 1 ? alphabet[Int(group >> 6 & 63)] : padding
                buffer[position + 3] = count > 2 ? alphabet[Int(group & 63)] : padding
                position += 4
            }
            return position
        }
    }
}
