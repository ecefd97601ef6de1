/// The image formats that `read` knows, by a file's first bytes and never by its name.
enum ImageFormat: String, Sendable {
    case jpeg = "image/jpeg"
    case png = "image/png"
    case gif = "image/gif"
    case webp = "image/webp"
    case bmp = "image/bmp"

    var mimeType: String { rawValue }

    /// Whether models take it as it is.
    var isTaken: Bool { self != .bmp }

    init?(detectingIn bytes: [UInt8]) {
        if bytes.starts(with: [0xFF, 0xD8, 0xFF]) {
            self = .jpeg
        } else if bytes.starts(with: [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]) {
            self = .png
        } else if bytes.starts(with: "GIF87a".utf8) || bytes.starts(with: "GIF89a".utf8) {
            self = .gif
        } else if bytes.starts(with: "RIFF".utf8), bytes.dropFirst(8).starts(with: "WEBP".utf8) {
            self = .webp
        } else if bytes.starts(with: "BM".utf8), bytes.count >= 26, bytes[6..<10].allSatisfy({ $0 == 0 }) {
            // Bytes 6 to 9 are reserved and 0.
            self = .bmp
        } else {
            return nil
        }
    }

    struct Size: Sendable, Hashable {
        var width: Int
        var height: Int

        var text: String { "\(width)x\(height)" }
        func fits(in side: Int) -> Bool { width <= side && height <= side }
    }

    /// Width and height in pixels as the file's head says; nil where it does not.
    func size(in bytes: [UInt8]) -> Size? {
        let reader = ByteReader(bytes)
        switch self {
        // The chunk IHDR comes first (PNG specification, 11.2.2).
        case .png: return reader.size(at: 16, bytes: 4, isBigEndian: true)
        case .gif: return reader.size(at: 6, bytes: 2)
        case .bmp: return reader.size(at: 18, bytes: 4)
        case .webp: return reader.webpSize()
        case .jpeg: return reader.jpegSize()
        }
    }
}

/// Numbers in the heads of image files; nil beyond the end.
private struct ByteReader {
    let bytes: [UInt8]

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    func number(at offset: Int, bytes count: Int, isBigEndian: Bool = false) -> Int? {
        guard offset >= 0, offset + count <= bytes.count else { return nil }
        let part = bytes[offset..<(offset + count)]
        return (isBigEndian ? Array(part) : part.reversed()).reduce(0) { $0 << 8 | Int($1) }
    }

    func size(at offset: Int, bytes count: Int, isBigEndian: Bool = false) -> ImageFormat.Size? {
        guard let width = number(at: offset, bytes: count, isBigEndian: isBigEndian),
            let height = number(at: offset + count, bytes: count, isBigEndian: isBigEndian)
        else { return nil }
        return ImageFormat.Size(width: width, height: height)
    }

    /// WebP container specification: VP8X has the canvas, VP8L and VP8 their own heads.
    func webpSize() -> ImageFormat.Size? {
        switch bytes.dropFirst(12).prefix(4) {
        case let kind where kind.elementsEqual("VP8X".utf8):
            guard let size = size(at: 24, bytes: 3) else { return nil }
            return ImageFormat.Size(width: size.width + 1, height: size.height + 1)
        case let kind where kind.elementsEqual("VP8L".utf8):
            guard let bits = number(at: 21, bytes: 4) else { return nil }
            return ImageFormat.Size(width: (bits & 0x3FFF) + 1, height: (bits >> 14 & 0x3FFF) + 1)
        default:
            guard let size = size(at: 26, bytes: 2) else { return nil }
            return ImageFormat.Size(width: size.width & 0x3FFF, height: size.height & 0x3FFF)
        }
    }

    /// The first frame header (SOF0 to SOF15 but for the three that are something else; ITU-T T.81, B.2.2).
    func jpegSize() -> ImageFormat.Size? {
        var offset = 2
        while let marker = number(at: offset, bytes: 2, isBigEndian: true), marker >> 8 == 0xFF,
            let length = number(at: offset + 2, bytes: 2, isBigEndian: true), length >= 2
        {
            let isFrame = (0xFFC0...0xFFCF).contains(marker) && ![0xFFC4, 0xFFC8, 0xFFCC].contains(marker)
            if isFrame, let size = size(at: offset + 5, bytes: 2, isBigEndian: true) {
                return ImageFormat.Size(width: size.height, height: size.width)
            }
            offset += 2 + length
        }
        return nil
    }
}
