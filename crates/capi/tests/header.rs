//! `include/sonotap.h` is what cbindgen makes of the sources, `tests/golden/symbols.txt` has every function that it declares, and
//! `tests/golden/layout.c` states the place of every field, for C compilers to check. `BLESS=1` rewrites all three.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use sonotap_capi::*;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

#[track_caller]
fn assert_golden(path: &Path, now: &str) {
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(path, now).unwrap();
    }
    let golden = std::fs::read_to_string(path).unwrap_or_default();
    assert!(golden == now, "{}: differs from what the sources say; BLESS=1 rewrites it", path.display());
}

fn header() -> String {
    let mut config = cbindgen::Config::from_file(root().join("cbindgen.toml")).unwrap();
    config.header = Some(std::fs::read_to_string(root().join("rules.h")).unwrap());
    config.after_includes = Some(
        "\n/* A fourcc as V4L2 has it: SONOTAP_FOURCC('Y', '1', '6', ' '). */\n\
         #define SONOTAP_FOURCC(a, b, c, d) \\\n    \
         ((uint32_t)(a) | ((uint32_t)(b) << 8) | ((uint32_t)(c) << 16) | ((uint32_t)(d) << 24))\n"
            .into(),
    );
    let mut builder = cbindgen::Builder::new().with_config(config);
    for file in ["types", "library", "model", "session", "input", "output"] {
        builder = builder.with_src(root().join(format!("src/{file}.rs")));
    }
    let mut text = Vec::new();
    builder.generate().unwrap().write(&mut text);
    tidied(&String::from_utf8(text).unwrap())
}

/// Comments of one line on one line, the others with a star a line, and never two empty lines.
fn tidied(text: &str) -> String {
    let mut out = String::new();
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    let (mut at, mut is_comment) = (0, false);
    while at < lines.len() {
        let line = lines[at];
        let indent = &line[..line.len() - line.trim_start().len()];
        match lines[at..] {
            ["", "", ..] => {}
            [first, only, last, ..] if first.trim() == "/*" && last.trim() == "*/" => {
                writeln!(out, "{}/* {} */", &first[..first.len() - 2], only.trim()).unwrap();
                at += 2;
            }
            [first, second, ..] if first.trim() == "/*" => {
                writeln!(out, "{indent}/* {}", second.trim()).unwrap();
                (is_comment, at) = (true, at + 1);
            }
            [last, ..] if is_comment && last.trim() == "*/" => {
                // The line before it ends the comment.
                out.truncate(out.trim_end().len());
                out.push_str(" */\n");
                is_comment = false;
            }
            _ if is_comment => writeln!(out, "{}", format!("{indent}  {}", line.trim()).trim_end()).unwrap(),
            _ => writeln!(out, "{line}").unwrap(),
        }
        at += 1;
    }
    out
}

/// The names of the functions that a header declares.
fn functions(header: &str) -> Vec<String> {
    let is_declared =
        |l: &&str| l.contains("sonotap_") && l.contains('(') && !l.contains("typedef") && !l.contains('*');
    let pointers = header.lines().filter(|l| l.starts_with("const char *sonotap_"));
    let mut names: Vec<String> = header
        .lines()
        .filter(|l| l.starts_with("sonotap_status ") || l.starts_with("uint") || l.starts_with("size_t "))
        .chain(pointers)
        .filter(|l| is_declared(l) || l.contains('('))
        .map(|l| l.split('(').next().unwrap().rsplit([' ', '*']).next().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn the_header_is_what_the_sources_say() {
    assert_golden(&root().join("include/sonotap.h"), &header());
}

#[test]
fn the_list_of_symbols_is_that_of_the_header() {
    let names = functions(&header());
    assert!(names.len() > 30, "{names:?}");
    assert_golden(&root().join("tests/golden/symbols.txt"), &(names.join("\n") + "\n"));
}

macro_rules! layout {
    ($out:ident, $($name:ident { $($field:ident),* $(,)? })*) => {
        $(
            writeln!($out, "HOLDS(sizeof({0}) == {1}, size_of_{0})", stringify!($name), size_of::<$name>()).unwrap();
            $(
                writeln!(
                    $out,
                    "HOLDS(offsetof({0}, {1}) == {2}, {0}_{1})",
                    stringify!($name), stringify!($field), std::mem::offset_of!($name, $field)
                )
                .unwrap();
            )*
        )*
    };
}

#[test]
fn the_place_of_every_field_is_on_record() {
    let mut out = String::from(
        "/* Written by tests/header.rs: the place of every field as Rust has it. It compiles only where C agrees. */\n\
         #include \"sonotap.h\"\n\
         #define HOLDS(claim, name) typedef char holds_##name[(claim) ? 1 : -1];\n",
    );
    layout! { out,
        sonotap_blob { name, bytes, len }
        sonotap_point { x, y }
        sonotap_rect { x, y, w, h }
        sonotap_config {
            struct_size, flags, period_us, deadline_us, refresh_us, frame_width_max, frame_height_max, keep_out_count,
            screen_width, screen_height, screen_dpi, reserved, cine_bytes, memory_max_bytes, keep_outs, preset, wake, wake_user,
        }
        sonotap_frame {
            struct_size, fourcc, width, height, stride, plane, plane_bytes, host_id, time_ns, time_kind, content, mm_per_px_x,
            mm_per_px_y, scale_source, is_full_range, is_bt709, reserved, region,
        }
        sonotap_scene {
            struct_size, objects, ticket, frame_id, host_id, captured_ns, due_ns, age_ns, live_tick, width, height, mode, signal,
            notice, notice_object, notice_reason, tool, fill, can_undo, can_redo, is_hot, cine_index, cine_len,
        }
        sonotap_object {
            struct_size, object, is_active, overlay, reason, points, rings, markers, prediction_age_ns, has_score, score,
            is_measured, is_metric, scale_source, reserved, area_px, perimeter_px, major_px, minor_px, longest_px,
            perpendicular_px, area_mm2, perimeter_mm, major_mm, minor_mm, longest_mm, perpendicular_mm,
        }
        sonotap_marker { struct_size, kind, rect }
        sonotap_picture { struct_size, fourcc, width, height, stride, dpi, pixels, bytes, place }
    }
    out.push_str("int main(void) { return 0; }\n");
    assert_golden(&root().join("tests/golden/layout.c"), &out);
    // A field that is in the header and not in the list above.
    for text in header().split("typedef struct ").skip(1).filter(|t| t.lines().next().unwrap().contains('{')) {
        let (name, rest) = text.split_once(" {").expect("a structure's name and its fields");
        let body = rest.split_once('}').unwrap().0;
        for line in body.lines().map(str::trim).filter(|l| l.ends_with(';') && !l.starts_with("/*")) {
            let field = line.trim_end_matches(';').split('[').next().unwrap().rsplit([' ', '*']).next().unwrap();
            assert!(out.contains(&format!("offsetof({name}, {field})")), "{name}.{field} is not on record");
        }
    }
}
