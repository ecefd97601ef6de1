import Glibc
import TauCore
import TauSystem
import Testing

/// Recorded vectors that lie beside the package.
enum SharedData {
    static func golden(_ name: String) throws -> JSONValue {
        // The package may have been reached through a link, but the data lies beside it itself.
        let file = try #require(realpath("\(#filePath)", nil))
        defer { free(file) }
        let root = String(cString: file).split(separator: "/").dropLast(3).joined(separator: "/")
        let directory = try Directory(path: "/\(root)/../shared/data/pi/golden")
        let bytes = try directory.openFile(Array(name.utf8), links: .refused).readAll(limit: 1 << 20)
        return try JSONValue(parsing: bytes ?? [])
    }

    static let isPresent = (try? golden("formatsize.json")) != nil
}

/// The first 16 digits of the hexadecimal SHA-256 digest (FIPS 180-4), as the vectors give it.
func shortDigest(_ text: String) -> String {
    // The fractional parts of the roots of the first primes.
    let primes = (2...311).filter { candidate in !(2..<candidate).contains { candidate % $0 == 0 } }
    func fraction(_ value: Double) -> UInt32 { UInt32((value - value.rounded(.down)) * 4_294_967_296) }
    let constants = primes.map { fraction(cbrt(Double($0))) }
    var state = primes.prefix(8).map { fraction(Double($0).squareRoot()) }
    var message = Array(text.utf8)
    let bits = UInt64(message.count) * 8
    message.append(0x80)
    while message.count % 64 != 56 { message.append(0) }
    message += (0..<8).map { UInt8(truncatingIfNeeded: bits >> (56 - 8 * UInt64($0))) }
    func rotated(_ word: UInt32, _ count: UInt32) -> UInt32 { word >> count | word << (32 - count) }
    for block in stride(from: 0, to: message.count, by: 64) {
        var words = (0..<16).map { word in
            (0..<4).reduce(UInt32(0)) { $0 << 8 | UInt32(message[block + word * 4 + $1]) }
        }
        for index in 16..<64 {
            let (early, late) = (words[index - 15], words[index - 2])
            let first = rotated(early, 7) ^ rotated(early, 18) ^ early >> 3
            let second = rotated(late, 17) ^ rotated(late, 19) ^ late >> 10
            words.append(words[index - 16] &+ first &+ words[index - 7] &+ second)
        }
        var s = state
        for index in 0..<64 {
            let sum1 = rotated(s[4], 6) ^ rotated(s[4], 11) ^ rotated(s[4], 25)
            let choice = (s[4] & s[5]) ^ (~s[4] & s[6])
            let one = s[7] &+ sum1 &+ choice &+ constants[index] &+ words[index]
            let sum0 = rotated(s[0], 2) ^ rotated(s[0], 13) ^ rotated(s[0], 22)
            let majority = (s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2])
            s = [one &+ sum0 &+ majority, s[0], s[1], s[2], s[3] &+ one, s[4], s[5], s[6]]
        }
        state = zip(state, s).map { $0 &+ $1 }
    }
    return state.prefix(2).map { word in
        let digits = String(word, radix: 16)
        return String(repeating: "0", count: 8 - digits.count) + digits
    }.joined()
}
