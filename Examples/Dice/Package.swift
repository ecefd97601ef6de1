// swift-tools-version: 6.2
import PackageDescription

let package = Package(
    name: "Dice",
    platforms: [.macOS(.v15)],
    dependencies: [.package(name: "tau", path: "../..")],
    targets: [.executableTarget(name: "Dice", dependencies: [.product(name: "TauKit", package: "tau")])])
