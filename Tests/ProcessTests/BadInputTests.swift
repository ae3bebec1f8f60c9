import Foundation
import TestSupport
import Testing

/// What users get wrong is answered by a sentence that names it and says what to do, and by the right exit code.
@Suite(.serialized, .ownThreads) struct BadInputTests {
  let workshop: Workshop

  init() throws { workshop = try Workshop() }

  /// Runs `massl train` on the workshop's pictures, or others, and expects it to end with a sentence.
  private func expectRefusal(
    data: String? = nil, run: String = "refused", _ flags: [String], status: Int32 = 64, _ sentence: String
  ) throws {
    let ended = try Program.run(
      ["train", "--data", data ?? workshop.data, "--run", workshop.run(run)] + Workshop.recipe + flags)
    #expect(ended.status == status && !ended.wasKilled, "\(ended)")
    #expect(ended.errors.contains(sentence), "\(ended.errors)")
    // A sentence, not a trace.
    #expect(!ended.errors.contains("Fatal error") && !ended.errors.contains(" at /"), "\(ended.errors)")
    #expect(ended.output.isEmpty)
  }

  // MARK: Data

  @Test func foldersWithoutPicturesAreRefused() throws {
    let empty = try workshop.folder("empty")
    try expectRefusal(data: empty, [], "\(empty) is empty. Give a folder of JPEG, PNG or WebP pictures, at any depth.")
    let texts = try workshop.folder("texts")
    try Data("words".utf8).write(to: URL(fileURLWithPath: texts + "/a.txt"))
    try expectRefusal(data: texts, [], "\(texts) holds no pictures: files ending in .jpg")
    try expectRefusal(
      data: workshop.folder + "/nowhere", [], "/nowhere does not exist. Give a folder of JPEG, PNG or WebP pictures.")
    try expectRefusal(
      data: texts + "/a.txt", [], "/a.txt, line 1: there is no file 'words' in \(texts). Mend the list;")
    try Data("words".utf8).write(to: URL(fileURLWithPath: texts + "/a.csv"))
    try expectRefusal(data: texts + "/a.csv", [], "is a file, not a folder. Give the folder that holds the pictures, a")
    try Data("words".utf8).write(to: URL(fileURLWithPath: texts + "/a.tar"))
    try expectRefusal(data: texts + "/a.tar", [], "/a.tar: it is no tar: it has 5 bytes.")
    try expectRefusal(data: texts + "/{1..0}.tar", [], "'{1..0}' goes from 1 down to 0. Give a pattern such as")
    try FileManager.default.removeItem(atPath: texts + "/a.tar")
    #expect(!workshop.exists("refused"), "a refusal leaves no run behind")
  }

  @Test func aPictureThatCannotBeReadIsNamed() throws {
    let data = try workshop.copyOfPictures("dangling")
    try FileManager.default.createSymbolicLink(
      atPath: data + "/dangling.jpg", withDestinationPath: workshop.folder + "/nowhere")
    try expectRefusal(data: data, [], "\(data)/dangling.jpg cannot be read: No such file or directory.")
  }

  @Test func aTextFileNamedAsAPictureIsReplacedAndNamedOnce() throws {
    let data = try workshop.copyOfPictures("textual")
    try Data("words".utf8).write(to: URL(fileURLWithPath: data + "/words.jpg"))
    // Two epochs meet it at least once.
    let ended = try Program.run(
      ["train", "--data", data, "--run", workshop.run("replaced")] + Workshop.recipe + ["--max-steps", "20"])
    #expect(ended.status == 0, "\(ended)")
    let named = ended.errors.split(separator: "\n").filter { $0.contains("words.jpg cannot be decoded") }
    #expect(named.count == 1, "\(ended.errors)")
  }

  // MARK: Addresses

  @Test func aNameThatIsUnknownIsSaidToBeBeforeKeysAreAskedFor() throws {
    for command in [["status"], ["worker"], ["memory", "list"]] {
      let ended = try Program.run(command + ["--coordinator", "tcp://no-such-host.invalid:5570"])
      #expect(ended.status == 75 && ended.errors.contains("The host 'no-such-host.invalid' is unknown: "), "\(ended)")
    }
    let other = try Program.run(["status", "--coordinator", "tcp://192.0.2.1:5570"])
    #expect(other.status == 64 && other.errors.contains("can be reached from other machines, so keys are needed"))
  }

  // MARK: Settings

  @Test func unknownFlagsAndKeysGetTheNearestOffered() throws {
    try expectRefusal(["--bath-size", "4"], "Unknown option '--bath-size'. Did you mean '--batch-size'?")
    let recipe = workshop.folder + "/recipe.yaml"
    try Data("epochs: 3\nmemory_sise: 64\n".utf8).write(to: URL(fileURLWithPath: recipe))
    try expectRefusal(
      ["--config", recipe], "There is no key memory_sise (\(recipe), line 2). Did you mean memory_size?")
    try expectRefusal(["--config", recipe + "l"], "Cannot read the recipe \(recipe)l")
  }

  @Test func settingsThatDoNotFitTogetherAreRefused() throws {
    try expectRefusal(["--block-size", "100"], "block_size 100 must divide memory_size 256; 64 or 128 would fit.")
    try expectRefusal(["--batch-size", "18"], "slice_size 4 must divide batch_size 18")
    try expectRefusal(
      ["--batch-size", "192", "--memory-size", "4096"], "batch_size 192 is larger than the data set of 160 pictures.")
    try expectRefusal(
      ["--compute-class", Self.foreignClass], status: 65, "which compute_class \(Self.foreignClass) computes with.")
    #expect(!workshop.exists("refused"), "a refusal leaves no run behind")
  }

  #if arch(x86_64)
    static let foreignClass = "neon"
  #else
    static let foreignClass = "avx2"
  #endif

  // MARK: Runs

  @Test func otherSettingsAndOtherDataThanTheRunsAreRefused() throws {
    #expect(try Program.run(workshop.arguments("mine")).status == 0)
    let before = try workshop.digests("mine")
    try expectRefusal(
      run: "mine", ["--seed", "9", "--embed-dim", "96", "--lr", "0.1"],
      """
      mine was started with embed_dim 48, not 96. Give embed_dim 48 to resume it, or another --run to start afresh.
      """)
    try expectRefusal(run: "mine", ["--seed", "9", "--lr", "0.1"], "mine was started with seed 0, not 9.")
    try expectRefusal(
      run: "mine", ["--lr", "0.1"], "Give --change lr=0.1 to change it from the newest checkpoint on.")
    let data = try workshop.copyOfPictures("more")
    try FileManager.default.copyItem(atPath: workshop.onePicture, toPath: data + "/more.jpg")
    try expectRefusal(data: data, run: "mine", [], "was started on 160 pictures; --data has 161.")
    let foreign = try workshop.folder("foreign")
    try Data("mine".utf8).write(to: URL(fileURLWithPath: foreign + "/notes"))
    try expectRefusal(run: "foreign", [], "foreign holds no run.")
    #expect(try workshop.digests("mine") == before, "nothing is lost")
  }

  @Test func aCheckpointWithOneByteChangedIsNamedAndPassedOver() throws {
    #expect(try Program.run(workshop.arguments("rotten")).status == 0)
    let expected = try workshop.digests("rotten")
    let path = workshop.run("rotten") + "/checkpoints/step-00000030/teacher.safetensors"
    var bytes = try Data(contentsOf: URL(fileURLWithPath: path))
    bytes[bytes.count - 5] ^= 1
    try bytes.write(to: URL(fileURLWithPath: path))
    let before = try #require(workshop.steps("rotten").dropLast().last)
    let inspected = try Program.run(["inspect", workshop.run("rotten")])
    #expect(inspected.status == 1 && inspected.output.contains("teacher.safetensors is damaged: tensor '"))
    // It goes on from the one before, and comes to the same.
    let ended = try Program.run(workshop.arguments("rotten"))
    #expect(ended.status == 0, "\(ended)")
    #expect(ended.errors.contains("\(path) is damaged: tensor '"), "\(ended.errors)")
    #expect(ended.errors.contains("at step \(before) of 30"), "\(ended.errors)")
    #expect(try workshop.digests("rotten") == expected)
  }

  @Test func whereAllCheckpointsAreDamagedTheRunDoesNotBeginAnew() throws {
    #expect(try Program.run(workshop.arguments("ruin") + ["--max-steps", "5"]).status == 0)
    let path = workshop.run("ruin") + "/checkpoints/step-00000005/manifest.json"
    let bytes = try Data(contentsOf: URL(fileURLWithPath: path))
    try bytes.prefix(bytes.count / 2).write(to: URL(fileURLWithPath: path))
    try expectRefusal(run: "ruin", [], status: 65, "\(path) is damaged")
    #expect(FileManager.default.fileExists(atPath: path))
  }

  // MARK: Machines

  /// Needs a mount of its own over /proc/cpuinfo, which only root may have.
  @Test(.enabled(if: mayMount), .enabled(if: isX86))
  func aProcessorWithoutAVX2IsRefusedByEveryCommand() throws {
    let old = workshop.folder + "/cpuinfo"
    let text = try String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8).replacing(" avx2", with: "")
    try Data(text.utf8).write(to: URL(fileURLWithPath: old))
    for command in [workshop.arguments("old"), ["synthesize", "--out", workshop.folder + "/s", "--images", "9"]] {
      let ended = try Program.run(command, through: Program.inMounts("mount --bind \(old) /proc/cpuinfo"))
      #expect(ended.status == 65, "\(ended)")
      #expect(
        ended.errors == """
          Error: This processor lacks avx2, which compute_class avx2 computes with. massl on this kind of machine \
          needs a processor with AVX2 and FMA (Intel Haswell or AMD Zen, and later): use another machine.

          """)
    }
  }

  static let mayMount =
    (try? Program.run(["--help"], through: Program.inMounts("mount --bind /dev/null /proc/cpuinfo")))?.status == 0
  #if arch(x86_64)
    static let isX86 = true
  #else
    static let isX86 = false
  #endif

  // MARK: Processes

  @Test func aSecondCoordinatorOfARunAndATakenPortAreRefused() throws {
    let first = try Program.start(workshop.coordinator("first", "tcp://127.0.0.1:0"))
    defer { first.terminate() }
    let address = try workshop.address("first")
    let second = try Program.run(workshop.coordinator("first", "tcp://127.0.0.1:0"))
    #expect(second.status == 75)
    #expect(second.errors.contains("first/coordinator.lock is locked by process \(first.processIdentifier) on "))
    let third = try Program.run(workshop.coordinator("third", address))
    #expect(third.status == 75)
    #expect(third.errors.contains("\(address) is in use by another process."), "\(third.errors)")
    #expect(first.isRunning)
  }

  @Test func aCoordinatorForOtherMachinesWantsKeys() throws {
    let ended = try Program.run(workshop.coordinator("open", "tcp://0.0.0.0:0"))
    #expect(ended.status == 64)
    #expect(ended.errors.contains("tcp://0.0.0.0:0 can be reached from other machines, so keys are needed"))
  }

  @Test func aMistypedAddressIsNoFile() throws {
    let ended = try Program.run(["worker", "--coordinator", "localhost:5570"])
    #expect(ended.status == 64 && ended.errors.contains("'localhost:5570' is no endpoint"), "\(ended)")
  }

  @Test func aWorkerWaitsForACoordinatorThatIsNotThereAndSaysSo() throws {
    // A port that was free a moment ago.
    let passing = try Program.start(workshop.coordinator("passing", "tcp://127.0.0.1:0"))
    let address = try workshop.address("passing")
    passing.terminate()
    try passing.exit()
    let worker = try Program.run(["worker", "--coordinator", address], limit: 8, signal: SIGTERM)
    #expect(worker.status == 0 && !worker.wasKilled, "it leaves in order when told to")
    #expect(worker.errors.contains("No answer from a coordinator at \(address) for "))
  }
}
