import Machine
import Testing

/// What a process may use, from the files in which Linux says it.
struct AllowanceTests {
  private static let machine = (processors: 8, memory: 16 << 30)

  /// Version 1, each controller mounted by itself, as older systems and this one's kin have it.
  private static let version1 = [
    "/proc/self/cgroup": "4:memory:/jobs/a b\n3:cpu,cpuacct:/jobs\n1:name=systemd:/\n0::/\n",
    "/proc/self/mountinfo": """
    31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
    32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
    35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
    41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
    """,
    "/sys/fs/cgroup/cpu,cpuacct/jobs/cpu.cfs_quota_us": "150000\n",
    "/sys/fs/cgroup/cpu,cpuacct/jobs/cpu.cfs_period_us": "100000\n",
    "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
    "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
    "/sys/fs/cgroup/memory/jobs/a b/memory.limit_in_bytes": "9223372036854771712\n",
    "/sys/fs/cgroup/memory/jobs/memory.limit_in_bytes": "536870912\n",
    "/sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
  ]

  private static let version2 = [
    "/proc/self/cgroup": "0::/system.slice/massl.service\n",
    "/proc/self/mountinfo": "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n",
    "/sys/fs/cgroup/system.slice/massl.service/cpu.max": "max 100000\n",
    "/sys/fs/cgroup/system.slice/cpu.max": "300000 100000\n",
    "/sys/fs/cgroup/system.slice/massl.service/memory.max": "1073741824\n",
    "/sys/fs/cgroup/system.slice/memory.max": "max\n",
  ]

  private static func allowance(_ files: [String: String], runsOn processors: String? = nil) -> Allowance {
    var files = files
    files["/proc/self/status"] = processors.map { "Name:\tmassl\nCpus_allowed:\tff\nCpus_allowed_list:\t\($0)\n" }
    return Allowance(online: machine.processors, physicalMemory: machine.memory) { files[$0] }
  }

  @Test func quotaAndLimitOfVersion1CountThoseOfParentsToo() {
    let allowance = Self.allowance(Self.version1)
    #expect(allowance.processors.usable == 2, "one and a half: the half is not to be wasted")
    #expect(allowance.processors.bound == "/sys/fs/cgroup/cpu,cpuacct/jobs/cpu.cfs_quota_us")
    #expect(allowance.memory.usable == 512 << 20)
    #expect(
      allowance.sentence
        == "This process may use 2 of the machine's 8 processors (/sys/fs/cgroup/cpu,cpuacct/jobs/cpu.cfs_quota_us) and "
        + "512 MiB of its 16 GiB of memory (/sys/fs/cgroup/memory/jobs/memory.limit_in_bytes).")
  }

  @Test func quotaAndLimitOfVersion2CountThoseOfParentsToo() {
    let allowance = Self.allowance(Self.version2)
    #expect(allowance.processors.usable == 3 && allowance.processors.bound == "/sys/fs/cgroup/system.slice/cpu.max")
    #expect(allowance.memory.usable == 1 << 30)
    #expect(allowance.memory.bound == "/sys/fs/cgroup/system.slice/massl.service/memory.max")
  }

  /// A container of Docker with version 1 sees its own part of the tree alone; one with version 2 thinks that it is the root.
  @Test func aContainersOwnGroupIsWhereItIsMounted() {
    let limit = "/sys/fs/cgroup/memory/memory.limit_in_bytes"
    let mount = "9 8 0:32 /docker/ab /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n"
    for path in ["/docker/ab", "/elsewhere", "/../c"] {
      let files = ["/proc/self/cgroup": "4:memory:\(path)\n", "/proc/self/mountinfo": mount, limit: "1048576\n"]
      #expect(Self.allowance(files).memory.bound == limit, "\(path)")
    }
    let inside = "/sys/fs/cgroup/memory/x/memory.limit_in_bytes"
    let files = ["/proc/self/cgroup": "4:memory:/docker/ab/x\n", "/proc/self/mountinfo": mount, inside: "4096\n"]
    #expect(Self.allowance(files).memory.usable == 4096)
  }

  @Test func blanksInTheNameOfAMountAreThreeDigits() {
    let files = [
      "/proc/self/cgroup": "0::/\n", "/proc/self/mountinfo": "1 2 0:3 / /my\\040groups rw - cgroup2 none rw\n",
      "/my groups/memory.max": "4096\n",
    ]
    #expect(Self.allowance(files).memory.bound == "/my groups/memory.max")
  }

  @Test func affinityCountsAndTheSmallerOneNamesItself() {
    let allowance = Self.allowance([:], runsOn: "3")
    #expect(allowance.processors.usable == 1 && allowance.processors.machine == 8)
    #expect(allowance.sentence == "This process may use 1 of the machine's 8 processors (its CPU affinity).")
    #expect(Self.allowance(Self.version1, runsOn: "5").processors.bound == "its CPU affinity")
    #expect(Self.allowance(Self.version1, runsOn: "0-2,6").processors.usable == 2)
    #expect(Self.allowance([:], runsOn: "0-2,6").processors.usable == 4)
  }

  @Test func processorsThatAreSwitchedOffDoNotCount() {
    let files = ["/sys/devices/system/cpu/online": "0-3\n"]
    #expect(Self.allowance(files, runsOn: "2-7").processors.usable == 2)
    for list in ["0-127", "", "none", "4-", "7-4", "0-99999999999", "-1"] {
      #expect(Self.allowance([:], runsOn: list).processors.usable == 8, "\(list)")
    }
  }

  @Test(arguments: ["", "max\n", "-1\n", "many\n", "99999999999999999999\n", "x 281474976710656\n", "\u{0}"])
  func whatIsNoBoundIsNone(text: String) {
    var (first, second) = (Self.version1, Self.version2)
    for (path, _) in first where path.hasPrefix("/sys") { first[path] = text }
    for (path, _) in second where path.hasPrefix("/sys") { second[path] = text }
    for files in [[:], first, second] {
      let allowance = Self.allowance(files)
      #expect(allowance.sentence == nil, "\(allowance)")
      #expect(allowance.processors.usable == 8 && allowance.memory.usable == 16 << 30)
    }
  }

  @Test func aQuotaOfNextToNothingIsOneProcessor() {
    var files = Self.version2
    files["/sys/fs/cgroup/system.slice/cpu.max"] = "1000 100000"
    #expect(Self.allowance(files).processors.usable == 1)
  }

  @Test func endsForWantOfMemoryAreCountedInTheGroupAndTheMachine() {
    var files = Self.version1
    #expect(OutOfMemory.ends { files[$0] } == 0)
    files["/sys/fs/cgroup/memory/jobs/a b/memory.oom_control"] = "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"
    files["/proc/vmstat"] = "nr_free_pages 12\noom_kill 4\n"
    #expect(OutOfMemory.ends { files[$0] } == 7)
    var unified = Self.version2
    unified["/sys/fs/cgroup/system.slice/massl.service/memory.events"] = "max 9\noom 2\noom_kill 2\noom_group_kill 0\n"
    #expect(OutOfMemory.ends { unified[$0] } == 2)
  }

  @Test func thisProcessMayUseSomething() {
    let allowance = Allowance.current
    #expect(1...allowance.processors.machine ~= allowance.processors.usable)
    #expect((1 << 20)...allowance.memory.machine ~= allowance.memory.usable)
  }

  @Test func bytesAreReadAtAGlance() {
    let texts = [0, 1023, 1024, 1536, 512 << 20, 1_503_238_553, 978 << 20, (1 << 30) - 1, 3 << 40].map {
      "\(Bytes($0))"
    }
    #expect(
      texts == ["0 bytes", "1023 bytes", "1 KiB", "1.5 KiB", "512 MiB", "1.4 GiB", "978 MiB", "1024 MiB", "3 TiB"])
  }
}
