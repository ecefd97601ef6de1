internal import CTauSystem

/// The CRC-32 of bytes (RFC 1952): finds what a crash has torn, not what somebody has forged.
package func checksum(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
    tau_checksum(bytes.baseAddress, bytes.count)
}
