#[test]
fn t() {
    let mut s = gateway_testing::PostgresServer::start().unwrap();
    let u = s.create_database();
    s.execute(&u, "create table x(a int); insert into x values (1)");
    s.stop();
    s.start_again();
    s.execute(&u, "do $$ begin if (select count(*) from x) <> 1 then raise exception 'no'; end if; end $$");
    println!("{u}");
}
