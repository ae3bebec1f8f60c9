import Checkpoints
import Configuration
import Durability
import Evaluation
import Foundation
import Networks
import Numerics
import TestSupport
import Testing
import Vision
import WeightFiles

/// What is judged from folders and files as people have them.
@Suite struct JudgeTests {
  /// Dark and bright pictures, which pixels alone tell apart.
  private func folder(_ classes: [(name: String, base: Int)], each: Int = 5) throws -> PictureFolder {
    let folder = PictureFolder()
    for (number, (name, base)) in classes.enumerated() {
      for index in 0..<each { try folder.putPicture("\(name)/\(index).jpg", base: base, seed: 100 * number + index) }
    }
    return folder
  }

  private static let flags: [(name: String, text: String)] = [("num-heads", "2")]

  private func network(in folder: PictureFolder, _ given: [(name: String, text: String)] = flags) throws
    -> FrozenNetwork
  {
    try FrozenNetwork(NetworkFile(folder.root + "/w.safetensors", given: given))
  }

  private func judge(
    _ network: FrozenNetwork, _ bank: PictureFolder, _ queries: PictureFolder, threads: Int = 2
  ) throws -> NearestNeighborsJudge {
    NearestNeighborsJudge(
      FrozenFeatures(network, in: .avx2, cache: nil, threads: threads), bank: try LabelledPictures(bank.root),
      queries: try LabelledPictures(queries.root), counts: [1, 3])
  }

  @Test func badPicturesAreSkippedOnBothSidesAndNamedWhole() throws {
    let (bank, queries) = (try folder([("a", 60), ("b", 180)]), try folder([("a", 60), ("b", 180)], each: 3))
    try bank.put("a/0text.jpg", Array("words".utf8))
    let whole = Picture(width: 16, height: 16, pixels: .init(repeating: 9, count: 768)).jpeg()
    try queries.put("b/cut.jpg", Array(whole.prefix(200)))
    try writeBackbone(bank.root + "/w.safetensors")
    let judge = try judge(network(in: bank), bank, queries)
    for source in NearestNeighborsJudge.Source.allCases {
      let row = try judge.row(source)
      #expect(row.voters == 10 && row.asked == 6, "\(source)")
      #expect(row.skippedOfBank.map(\.path) == [bank.root + "/a/0text.jpg"])
      #expect(row.skippedOfQueries.map(\.path) == [queries.root + "/b/cut.jpg"])
    }
    #expect(try judge.row(.pixels).accuracies == [1, 1])
  }

  @Test func nothingLeftIsAnErrorThatNamesTheFirst() throws {
    let (bank, queries) = (try folder([("a", 60)]), PictureFolder())
    try queries.put("a/x.jpg", [1, 2])
    try writeBackbone(bank.root + "/w.safetensors")
    let judge = try judge(network(in: bank), bank, queries)
    for source in [NearestNeighborsJudge.Source.trained, .pixels] {
      let error = #expect(throws: EvaluationError.self) { try judge.row(source) }
      guard case .nothingLeft(queries.root, 1, let first)? = error else {
        Issue.record("\(String(describing: error))")
        continue
      }
      #expect(first.hasPrefix(queries.root + "/a/x.jpg: "))
    }
  }

  @Test func foldersAsPeopleHaveThem() throws {
    let bank = try folder([("a", 60), ("b", 180), ("only-here", 120)])
    let queries = try folder([("a", 60), ("b", 180)])
    try bank.putPicture("stray.jpg", base: 60, seed: 1)
    try bank.putPicture("b/deep/er/0.jpg", base: 180, seed: 2)
    try queries.putPicture("only-there/0.jpg", base: 120, seed: 3)
    try writeBackbone(bank.root + "/w.safetensors")
    let (voting, asked) = (try LabelledPictures(bank.root), try LabelledPictures(queries.root))
    #expect(voting.count == 16 && voting.strays == 1 && voting.nested == 1)
    #expect(voting.names == ["a", "b", "only-here"])
    #expect(voting.classes.count { $0 == 1 } == 6)
    #expect(asked.classes(among: voting.names).count { $0 == nil } == 1)
    let judge = try judge(network(in: bank), bank, queries)
    let row = try judge.row(.pixels)
    #expect(judge.strangers == 1 && row.asked == 11 && row.accuracies == [10.0 / 11, 10.0 / 11])
  }

  /// Tiles, chunks and lists are cut by pictures: who computes them is nothing that a figure follows from.
  @Test func threadsDecideNoFigure() throws {
    let classes = (0..<5).map { (name: "c\($0)", base: 100 + 4 * $0) }
    let (bank, queries) = (try folder(classes, each: 40), try folder(classes, each: 29))
    try writeBackbone(bank.root + "/w.safetensors")
    let network = try network(in: bank)
    for source in NearestNeighborsJudge.Source.allCases {
      let rows = try [1, 4].map { try judge(network, bank, queries, threads: $0).row(source) }
      #expect(rows[0].accuracies == rows[1].accuracies, "\(source)")
    }
    let pictures = try LabelledPictures(queries.root)
    let features = try [1, 3].map {
      try network.features(of: pictures.selection, network.parameters, threads: $0).matrix.array
    }
    #expect(features[0] == features[1])
  }

  /// The pixels' products are cut in columns and tiles, and scaled at the end: the same cosines as whole rows have.
  @Test func pixelsAreComparedAsWholeRowsWouldBe() throws {
    let classes = (0..<3).map { (name: "c\($0)", base: 120 + 2 * $0) }
    let (bank, queries) = (try folder(classes, each: 50), try folder(classes, each: 45))
    let (voting, asked) = (try LabelledPictures(bank.root), try LabelledPictures(queries.root))
    let normalization = Normalization(mean: [0.5, 0.5, 0.5], deviation: [0.25, 0.25, 0.25])
    func rows(_ pictures: LabelledPictures, side: Int) throws -> FeatureRows {
      var resampler = Resampler()
      let matrix = FloatBuffer(count: pictures.count * 3 * side * side)
        .matrix(rows: pictures.count, columns: 3 * side * side)
      for place in 0..<pictures.count {
        let levels = try pictures.selection.square(place, side: side, &resampler)
        normalization.write(Picture(width: side, height: side, pixels: levels), into: matrix.row(at: place))
      }
      return FeatureRows(matrix).scaledToUnitLength()
    }
    let neighbors = NearestNeighbors(counts: [1, 20], classes: voting.classes, classCount: 3)
    let truth = asked.classes(among: voting.names)
    // 40 pixels a side are more columns than pass at once.
    for side in [16, 40] {
      let whole = try neighbors.score(
        bank: rows(voting, side: side), queries: rows(asked, side: side), truth: truth, threads: 1)
      let streamed = try PixelNeighbors(neighbors, normalization, side: side)
        .score(bank: voting, queries: asked, truth: truth, threads: 2)
      #expect(streamed.score == whole && whole.asked == 135)
    }
  }
}

// MARK: - Files

extension JudgeTests {
  @Test(arguments: ["", "backbone.", "module.backbone."]) func aBackboneByItselfIsJudgedByItsShapes(prefix: String)
    throws
  {
    let folder = try folder([("a", 60)])
    try writeBackbone(folder.root + "/w.safetensors", prefix: prefix)
    let network = try network(in: folder)
    #expect(network.architecture.embedDim == 16 && network.architecture.depth == 2)
    #expect(network.architecture.patchSize == 8 && network.architecture.imageSize == 16)
    #expect(network.architecture.numHeads == 2 && network.step == nil)
    #expect(network.notes.count == 1 && network.notes[0].contains("depth 2, embed_dim 16, image_size 16"))
    // No shape tells the heads, and no arch is so narrow.
    #expect(throws: EvaluationError.unknownHeads(file: folder.root + "/w.safetensors", embedDim: 16)) {
      try self.network(in: folder, [])
    }
    // What is given counts, and has to fit.
    #expect(throws: WeightFileError.self) { try self.network(in: folder, [("num-heads", "2"), ("patch-size", "4")]) }
    #expect(throws: WeightFileError.self) { try self.network(in: folder, [("arch", "vit_tiny")]) }
  }

  @Test func weightsThatAreNotFiniteAreNamedBeforeAnyFigure() throws {
    let folder = try folder([("a", 60)])
    try writeBackbone(folder.root + "/w.safetensors") { $0[5] = .nan }
    #expect(
      throws: WeightFileError.notFinite(file: folder.root + "/w.safetensors", tensor: "cls_token", count: 1)
    ) { try network(in: folder) }
  }

  @Test func tensorsWithoutAPlaceAreSaid() throws {
    let folder = try folder([("a", 60)])
    let path = folder.root + "/w.safetensors"
    try writeBackbone(path)
    let file = try SafetensorsFile(path, in: FileStorage())
    // The same file with a norm of queries and a classifier that is not finite.
    let buffer = FloatBuffer(count: 1 << 16)
    var entries: [TensorEntry] = []
    var start = 0
    for tensor in file.header.tensors {
      let entry = TensorEntry(name: tensor.name, shape: tensor.shape, range: start..<start + tensor.count)
      try file.read(tensor.name, into: entry, of: buffer)
      entries.append(entry)
      start += tensor.count
    }
    for name in ["blocks.0.attn.q_norm.weight", "head.weight"] {
      entries.append(TensorEntry(name: name, shape: [16], range: start..<start + 16))
      start += 16
    }
    buffer[start - 1] = .infinity
    try SafetensorsFile.write([TensorGroup(buffer: buffer, entries: entries)], to: path, in: FileStorage())
    let notes = try network(in: folder).notes
    #expect(notes.contains { $0.contains("'head.weight', which features do not need, is not finite") }, "\(notes)")
    #expect(
      notes.contains { $0.contains("1 tensors that this network has no place for ('blocks.0.attn.q_norm.weight'") })
  }

  @Test func aFileWithoutABackboneIsRefused() throws {
    let folder = try folder([("a", 60)])
    let buffer = FloatBuffer(count: 4)
    try SafetensorsFile.write(
      [TensorGroup(buffer: buffer, entries: [TensorEntry(name: "conv1.weight", shape: [4], range: 0..<4)])],
      to: folder.root + "/w.safetensors", in: FileStorage())
    let error = #expect(throws: WeightFileError.self) { try network(in: folder) }
    #expect(error.map { "\($0)".contains("no tensor is called cls_token") } == true)
  }
}

// MARK: - Memory

extension JudgeTests {
  /// 3,000 pictures of 224 pixels were 1.8 GB as floats, of both sides.
  @Test func memoryDoesNotGrowWithPixels() throws {
    let folder = try folder([("a", 60)])
    try writeBackbone(folder.root + "/w.safetensors")
    let small = try network(in: folder)
    func need(_ bank: Int, _ queries: Int) -> Int {
      EvaluationMemory(of: small, bank: bank, queries: queries, counts: [20]).bytes(threads: 2)
    }
    // A picture more costs its features, and a query besides the list of its neighbours; never its pixels.
    #expect(need(2_000_000, 1000) - need(1_000_000, 1000) <= 1_000_000 * 16 * 4)
    #expect(need(1000, 2_000_000) - need(1000, 1_000_000) <= 1_000_000 * 16 * 4)
  }

  @Test func fewerThreadsWhereMemoryIsScarce() throws {
    let folder = try folder([("a", 60)])
    try writeBackbone(folder.root + "/w.safetensors")
    let memory = EvaluationMemory(of: try network(in: folder), bank: 1000, queries: 100, counts: [20])
    #expect(try memory.threads(atMost: 8, available: 1 << 40) == 8)
    #expect(try memory.threads(atMost: 8, available: memory.bytes(threads: 3)) == 3)
    #expect(throws: EvaluationError.tooLarge(needed: memory.bytes(threads: 1), available: 1000)) {
      try memory.threads(atMost: 8, available: 1000)
    }
  }
}
