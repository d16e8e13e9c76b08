//! Components that are made to be hard to compile, or to be none. Written byte by byte, because what they are made of is what
//! tools refuse to write.

/// The largest number of functions, types or data segments in one module that the compiler reads at all.
const MANY: u32 = 100_000;

/// An unsigned number as WebAssembly writes it.
fn leb(mut value: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let byte = u8::try_from(value & 0x7f).expect("seven bits");
        value >>= 7;
        if value == 0 {
            bytes.push(byte);
            return bytes;
        }
        bytes.push(byte | 0x80);
    }
}

fn length(bytes: &[u8]) -> Vec<u8> {
    leb(u32::try_from(bytes.len()).expect("less than 4 GiB"))
}

fn section(id: u8, content: &[u8]) -> Vec<u8> {
    [&[id][..], &length(content), content].concat()
}

/// A list of `count` items.
fn list(count: u32, items: &[u8]) -> Vec<u8> {
    [&leb(count)[..], items].concat()
}

fn repeated(count: u32, item: &[u8]) -> Vec<u8> {
    item.repeat(count as usize)
}

/// A function's body: its locals, of type i32, and its code.
fn body(locals: u32, code: &[u8]) -> Vec<u8> {
    let locals = if locals == 0 { vec![0] } else { [&[1][..], &leb(locals), &[0x7f]].concat() };
    let body = [&locals[..], code, &[0x0b]].concat();
    [&length(&body)[..], &body].concat()
}

/// A module whose function 0 is `start`; type 0 takes and gives nothing.
struct Module {
    types: Vec<u8>,
    functions: Vec<u8>,
    bodies: Vec<u8>,
    before_code: Vec<u8>,
    after_code: Vec<u8>,
}

impl Module {
    fn with(bodies: &[u8]) -> Self {
        Self {
            types: list(1, &[0x60, 0, 0]),
            functions: list(1, &[0]),
            bodies: list(1, bodies),
            before_code: Vec::new(),
            after_code: Vec::new(),
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let export = [&[1, 5][..], b"start", &[0, 0]].concat();
        [
            &b"\0asm\x01\0\0\0"[..],
            &section(1, &self.types),
            &section(3, &self.functions),
            &section(5, &[1, 0, 1]),
            &section(7, &export),
            &self.before_code,
            &section(10, &self.bodies),
            &self.after_code,
        ]
        .concat()
    }

    /// The component that exports it as `start`.
    fn scene(&self) -> Vec<u8> {
        let module = self.bytes();
        let alias = [&[1, 0, 0, 1, 0, 5][..], b"start"].concat();
        let export = [&[1, 0, 5][..], b"start", &[1, 0, 0]].concat();
        [
            &b"\0asm\x0d\0\x01\0"[..],
            &section(1, &module),
            &section(2, &[1, 0, 0, 0]),
            &section(6, &alias),
            // func() -> nothing, and the lift of the alias.
            &section(7, &[1, 0x40, 0, 1, 0]),
            &section(8, &[1, 0, 0, 0, 0, 0]),
            &section(11, &export),
        ]
        .concat()
    }
}

/// A scene that does nothing; what the others are made of is right.
pub fn harmless() -> Vec<u8> {
    Module::with(&body(0, &[])).scene()
}

/// One function of so many additions to a local.
pub fn huge_function(additions: u32) -> Vec<u8> {
    // local.get 0, i32.const 1, i32.add, local.set 0
    Module::with(&body(1, &repeated(additions, &[0x20, 0, 0x41, 1, 0x6a, 0x21, 0]))).scene()
}

/// So many values that all live until the end of one function.
pub fn deep_stack(values: u32) -> Vec<u8> {
    // local.get 0 …, i32.add …, drop
    let code = [repeated(values, &[0x20, 0]), repeated(values - 1, &[0x6a]), vec![0x1a]].concat();
    Module::with(&body(1, &code)).scene()
}

/// So many locals, all of which are changed in each of so many loops.
pub fn many_locals(locals: u32, loops: u32) -> Vec<u8> {
    let change: Vec<u8> = (0..locals)
        .flat_map(|local| [&[0x20][..], &leb(local), &[0x21], &leb(locals - 1 - local)].concat())
        .collect();
    // loop, the changes, br_if 0 of local 0, end
    let one = [&[0x03, 0x40][..], &change, &[0x20, 0, 0x0d, 0, 0x0b]].concat();
    Module::with(&body(locals, &repeated(loops, &one))).scene()
}

/// So many jump tables, each with so many targets in as many blocks.
pub fn jump_tables(tables: u32, targets: u32) -> Vec<u8> {
    let targets_of_one: Vec<u8> = (0..targets).flat_map(leb).collect();
    let table = [&[0x20, 0, 0x0e][..], &list(targets, &targets_of_one), &[0]].concat();
    let one = [repeated(targets + 1, &[0x02, 0x40]), table, repeated(targets + 1, &[0x0b])].concat();
    Module::with(&body(1, &repeated(tables, &one))).scene()
}

/// So many blocks, each in the one before.
pub fn deep_nesting(depth: u32) -> Vec<u8> {
    let code = [repeated(depth, &[0x02, 0x40]), repeated(depth, &[0x0b])].concat();
    Module::with(&body(0, &code)).scene()
}

/// So many functions, each with a loop.
pub fn many_functions(count: u32) -> Vec<u8> {
    let mut module = Module::with(&[]);
    module.functions = list(count, &repeated(count, &[0]));
    module.bodies = list(count, &repeated(count, &body(1, &[0x03, 0x40, 0x20, 0, 0x0d, 0, 0x0b])));
    module.scene()
}

/// As many types as are read.
pub fn many_types() -> Vec<u8> {
    let mut module = Module::with(&body(0, &[]));
    let types: Vec<u8> = (0..MANY)
        .flat_map(|index| {
            // func of parameters that spell the number, so that each is another type
            let parameters: Vec<u8> =
                (0..17).map(|bit| if index >> bit & 1 == 1 { 0x7f } else { 0x7e }).collect();
            [&[0x60][..], &list(17, &parameters), &[0]].concat()
        })
        .collect();
    module.types = list(MANY + 1, &[&[0x60, 0, 0][..], &types].concat());
    module.scene()
}

/// As many data segments as are read.
pub fn many_data_segments() -> Vec<u8> {
    let mut module = Module::with(&body(0, &[]));
    // active, at 0, one byte
    module.after_code = section(11, &list(MANY, &repeated(MANY, &[0, 0x41, 0, 0x0b, 1, b'x'])));
    module.scene()
}

/// A component in a component, so many times.
pub fn nested_components(depth: u32) -> Vec<u8> {
    let mut component = b"\0asm\x0d\0\x01\0".to_vec();
    for _ in 0..depth {
        component = [&b"\0asm\x0d\0\x01\0"[..], &section(4, &component)].concat();
    }
    component
}

/// Many instances of many modules, of which each has its code.
pub fn many_modules(count: u32) -> Vec<u8> {
    let module = section(1, &Module::with(&body(1, &repeated(200, &[0x20, 0, 0x21, 0]))).bytes());
    let instances: Vec<u8> = (0..count).flat_map(|index| [&[0][..], &leb(index), &[0]].concat()).collect();
    [&b"\0asm\x0d\0\x01\0"[..], &module.repeat(count as usize), &section(2, &list(count, &instances))]
        .concat()
}

/// All of them, each far beyond what a compiler of a language makes, with its name.
pub fn all() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("huge_function", huge_function(900_000)),
        ("deep_stack", deep_stack(1_500_000)),
        ("many_locals", many_locals(50_000, 15)),
        ("jump_tables", jump_tables(20, 50_000)),
        ("deep_nesting", deep_nesting(1_500_000)),
        ("many_functions", many_functions(MANY)),
        ("many_types", many_types()),
        ("many_data_segments", many_data_segments()),
        ("nested_components", nested_components(5_000)),
        ("many_modules", many_modules(900)),
    ]
}
