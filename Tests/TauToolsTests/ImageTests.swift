import Foundation
import TauCore
import TauSystem
import Testing

@testable import TauTools

@Suite(.timeLimit(.minutes(2))) struct ImageTests {
    private static let heads: [(head: String, rest: [UInt8], size: String)] = [
        (
            "", [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A, 0, 0, 0, 13, 73, 72, 68, 82, 0, 0, 1, 2, 0, 0, 0, 3],
            "258x3"
        ),
        ("GIF89a", [5, 1, 2, 0], "261x2"),
        ("RIFF....WEBPVP8X........", [9, 0, 0, 1, 1, 0], "10x258"),
        ("RIFF....WEBPVP8L....", [0x2F, 0x09, 0x40, 0x01, 0x00], "10x6"),
        ("RIFF....WEBPVP8 ..........", [0x10, 0x40, 0x20, 0x80], "16x32"),
        ("BM", [1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 8, 1, 0, 0], "7x264"),
        (
            "", [0xFF, 0xD8, 0xFF, 0xE0, 0, 4, 1, 1, 0xFF, 0xC4, 0, 3, 1, 0xFF, 0xC2, 0, 9, 8, 0, 9, 1, 0, 3, 0, 0],
            "256x9"
        ),
    ]

    @Test(arguments: heads)
    func `the head of an image says its size`(head: String, rest: [UInt8], size: String) throws {
        let bytes = Array(head.utf8) + rest
        let format = try #require(ImageFormat(detectingIn: bytes))
        #expect(format.size(in: bytes)?.text == size)
        // Whatever is cut off or broken is no harm.
        for count in bytes.indices { _ = format.size(in: Array(bytes[..<count])) }
        for index in bytes.indices {
            var broken = bytes
            broken[index] = 0xFF
            _ = ImageFormat(detectingIn: broken)?.size(in: broken)
        }
    }

    @Test func `an image is shown as it is`() async throws {
        let server = try await TestServer()
        let gif = Array("GIF89a".utf8) + [1, 0, 1, 0, 0, 0, 0]
        try createFile(server.workspace + "/dot.txt", gif)
        let output = try await server.run("read", ["path": "dot.txt"])
        #expect(output.text == "Image dot.txt (image/gif, 1x1, 13B)")
        #expect(output.content.last == .image(ImageBlock(data: Base64.encode(gif), mimeType: "image/gif")))
    }

    private static let canScale = ImageScaler.isInstalled && TestServer.hasSandbox

    @Test(
        .enabled(if: canScale, "GraphicsMagick is not installed"),
        arguments: [
            ("-size 3000x1500 gradient:red-blue png:", "2000x1000"), ("-size 100x4000 xc:green gif:", "50x2000"),
            ("-size 20x10 xc:green bmp:", "20x10"),
            ("-size 2000x1400 plasma:fractal +noise gaussian png:", "2000x1400"),
            ("-size 5000x5000 xc:green webp:", "2000x2000"),
        ])
    func `a large image is made smaller`(options: String, size: String) async throws {
        let server = try await TestServer()
        // A name that would mean something to a shell, or to GraphicsMagick.
        let name = "$(touch x) 'a'%d[0]"
        _ = try await server.bash(
            "gm convert \(options)\"\\$(touch x) 'a'%d[0]\" || gm convert \(options)- > \"\\$(touch x) 'a'%d[0]\"; ls -s"
        )
        let output = try await server.run("read", ["path": .string(name)])
        guard case .image(let image) = output.content.last else {
            Issue.record("no image: \(output.text)")
            return
        }
        let bytes = try #require(Data(base64Encoded: image.data))
        let format = try #require(ImageFormat(detectingIn: Array(bytes)))
        #expect(format.mimeType == image.mimeType && format.isTaken)
        #expect(format.size(in: Array(bytes))?.text == size)
        #expect(bytes.count <= ToolLimits().maxImageBytes)
        #expect(output.text.contains("shown as \(size)"))
        #expect(try content(of: server.workspace + "/x") == nil)
    }

    @Test(.enabled(if: canScale, "GraphicsMagick is not installed"))
    func `what only looks like an image is refused`() async throws {
        let server = try await TestServer()
        try createFile(
            server.workspace + "/x.png",
            [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A] + [UInt8](repeating: 9, count: 100))
        #expect(try await server.failure("read", ["path": "x.png"]).code == .tooLarge)
    }

    @Test(arguments: [
        ("caf\u{E9}.txt", "cafe\u{301}.txt"), ("at 10.30 PM.txt", "at 10.30\u{202F}PM.txt"), ("it's", "it\u{2019}s"),
        ("d'\u{E9}t\u{E9}", "d\u{2019}e\u{301}te\u{301}"),
    ])
    func `a file is found whose name macOS spells otherwise`(asked: String, name: String) async throws {
        let server = try await TestServer()
        try createFile(server.workspace + "/" + name, "found")
        #expect(try await server.run("read", ["path": .string(asked)]).text == "found")
        try createFile(server.workspace + "/" + asked, "itself")
        #expect(try await server.run("read", ["path": .string(asked)]).text == "itself")
    }
}
