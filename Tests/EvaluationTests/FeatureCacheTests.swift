import Durability
import Evaluation
import Foundation
import Machine
import Synchronization
import TestSupport
import Testing

/// What is computed once is read from then on, and only if it is whole and of the same thing.
@Suite struct FeatureCacheTests {
  private let pictures = PictureFolder()
  private let home = PictureFolder()
  private let said = Said()

  init() throws {
    for index in 0..<40 { try pictures.putPicture("c\(index % 2)/\(index).jpg", base: 100, seed: index) }
    try home.put("notes.txt", [])
    try writeBackbone(home.root + "/w.safetensors")
  }

  /// What people were told.
  private final class Said: Sendable {
    private let sentences = Mutex<[String]>([])
    func add(_ sentence: String) { sentences.withLock { $0.append(sentence) } }
    var all: [String] { sentences.withLock { $0 } }
  }

  private func frozen(_ weights: String = "w", in computeClass: ComputeClass = .avx2, cache: String = "cache") throws
    -> FrozenFeatures
  {
    FrozenFeatures(
      try tinyNetwork("\(home.root)/\(weights).safetensors"), in: computeClass,
      cache: FeatureCache("\(home.root)/\(cache)"), threads: 2
    ) { [said] in said.add($0) }
  }

  private func selection(every: Int = 1) throws -> PictureSelection {
    try PictureSelection(pictures.root, every: every)
  }

  private var files: [String] {
    ((try? FileManager.default.contentsOfDirectory(atPath: home.root + "/cache")) ?? []).sorted()
  }

  /// Other pixels in a file of the same size, which only who looks into it would notice.
  private func spoilPictures() throws {
    for index in 0..<40 {
      let path = "\(pictures.root)/c\(index % 2)/\(index).jpg"
      let size = try Data(contentsOf: URL(fileURLWithPath: path)).count
      try Data(count: size).write(to: URL(fileURLWithPath: path))
    }
  }

  @Test func theSecondTimeNoPictureIsRead() throws {
    try pictures.put("c0/bad.jpg", Array("words".utf8))
    let first = try frozen().rows(of: selection())
    #expect(said.all.isEmpty && first.skipped.count == 1 && files.count == 1)
    #expect(files.allSatisfy { $0.hasPrefix("features-") && $0.hasSuffix(".safetensors") }, "\(files)")
    try spoilPictures()
    let second = try frozen().rows(of: selection())
    #expect(second.matrix.array == first.matrix.array && second.skipped == first.skipped)
    #expect(said.all.count == 1 && said.all[0].contains("from \(home.root)/cache/\(files[0])"), "\(said.all)")
    // Whoever was skipped has no features.
    let place = try #require(first.skipped.keys.first)
    #expect(first.matrix.row(at: place).array.allSatisfy { $0 == 0 })
  }

  @Test func otherWeightsPicturesClassesOfProcessorsHaveFilesOfTheirOwn() throws {
    try writeBackbone(home.root + "/v.safetensors", seed: 4)
    _ = try frozen().rows(of: selection())
    _ = try frozen("v").rows(of: selection())
    _ = try frozen(in: .avx512).rows(of: selection())
    _ = try frozen().rows(of: selection(every: 2))
    _ = try frozen().rows(of: selection(), .untrained)
    try pictures.putPicture("c0/more.jpg", base: 100, seed: 99)
    _ = try frozen().rows(of: selection())
    #expect(files.count == 6 && said.all.isEmpty, "\(said.all)")
    // The same backbone under other names of its tensors is the same.
    try writeBackbone(home.root + "/u.safetensors", prefix: "teacher.backbone.")
    _ = try frozen("u").rows(of: selection())
    #expect(files.count == 6 && said.all.count == 1)
  }

  @Test(arguments: [8, 300, -1]) func aDamagedFileIsSaidAndReplaced(byte: Int) throws {
    let first = try frozen().rows(of: selection())
    let path = "\(home.root)/cache/\(files[0])"
    let whole = try Data(contentsOf: URL(fileURLWithPath: path))
    var damaged = whole
    damaged[byte < 0 ? damaged.count + byte : byte] ^= 0x21
    try damaged.write(to: URL(fileURLWithPath: path))
    let second = try frozen().rows(of: selection())
    #expect(second.matrix.array == first.matrix.array)
    #expect(said.all.count == 1 && said.all[0].contains(path) && said.all[0].contains("computed anew"), "\(said.all)")
    #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == whole)
  }

  @Test func aFileOfSomethingElseIsNotUsed() throws {
    try writeBackbone(home.root + "/v.safetensors", seed: 4)
    let first = try frozen().rows(of: selection())
    let name = files[0]
    _ = try frozen("v").rows(of: selection())
    let other = try #require(files.first { $0 != name })
    let place = URL(fileURLWithPath: "\(home.root)/cache/\(name)")
    try Data(contentsOf: URL(fileURLWithPath: "\(home.root)/cache/\(other)")).write(to: place)
    #expect(try frozen().rows(of: selection()).matrix.array == first.matrix.array)
    #expect(said.all.count == 1 && said.all[0].contains("holds features of another backbone"), "\(said.all)")
  }

  @Test func whereNothingCanBeKeptFiguresAreGivenAllTheSame() throws {
    let rows = try frozen(cache: "notes.txt/cache").rows(of: selection())
    #expect(rows.count == 40)
    #expect(said.all.count == 1 && said.all[0].hasPrefix("The features are not kept"), "\(said.all)")
  }

  /// What is to be kept, and its name.
  private func kept() throws -> (rows: FeatureRows, key: FeatureKey) {
    let (network, pictures) = (try tinyNetwork(home.root + "/w.safetensors"), try selection())
    return (
      try network.features(of: pictures, network.parameters, threads: 2),
      FeatureKey(network, .trained, network.parameters, of: pictures, in: .avx2)
    )
  }

  @Test func aPowerCutAtAnyCallLeavesAllFeaturesOrNone() throws {
    let (rows, key) = try kept()
    var unfinished = 0
    for cut in 0..<20 {
      for seed in 0..<5 as Range<UInt64> {
        let storage = SimulatedStorage()
        let cache = FeatureCache("run/evaluations", in: storage)
        storage.cutPower(after: cut)
        let isFinished = (try? cache.keep(rows, as: key)) != nil
        storage.restart(cuttingPower: seed)
        let found = try cache.rows(key)
        #expect(found == nil ? !isFinished : found?.matrix.array == rows.matrix.array, "cut \(cut), seed \(seed)")
        if !isFinished { unfinished += 1 }
      }
    }
    #expect((25..<100).contains(unfinished))
  }

  @Test func aFullDiskIsLeftAsItWas() throws {
    let (rows, key) = try kept()
    let storage = SimulatedStorage()
    storage.setCapacity(500)
    let cache = FeatureCache("evaluations", in: storage)
    let error = #expect(throws: DurabilityError.self) { try cache.keep(rows, as: key) }
    #expect(error?.isOutOfSpace == true)
    #expect(try storage.list("evaluations").isEmpty && cache.rows(key)?.count == nil)
  }
}
