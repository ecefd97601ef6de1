internal import CTauSystem

/// The gzip format (RFC 1952).
package enum Gzip {
    /// Everything at once, at the fastest level.
    package static func compressed(_ bytes: [UInt8]) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: tau_gzip_bound(bytes.count)) { buffer, count in
            count = tau_gzip(bytes, bytes.count, buffer.baseAddress, buffer.count)
        }
    }
}
