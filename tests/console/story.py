"""An operator's day at the console: story.py PROGRAM SCREENSHOTS (see README.md)

Each chapter does something in the browser, and looks in the database, by the command line, for what came of it.
"""

import sys
from pathlib import Path

from console import Console
from system import System, until

VHOST = "imports"
OPERATOR, MACHINE, COORDINATOR = "david", "lorry-1", "code-imports"
IMPORT = "~vcs-imports/hello/import"
COMMANDS, REJECTED, ANSWERS = "code-imports.commands", "code-imports.rejected", f"code-imports.answers.{OPERATOR}"
QUEUES = ["commands", "finish", "heartbeat", "rejected", "start"]
QUEUES += [f"work.{rcs}" for rcs in ("bzr", "cvs", "git", "hg", "svn")]

PUBLISHED = "Message published."
REQUEUE, TAKE = "Nack message requeue true", "Automatic ack"


def main(program, screenshots):
    with System(program, OPERATOR) as system, Console(system.console_url, screenshots) as console:
        set_up(system, console)
        for chapter in (
            importing_the_definitions_sets_a_broker_up,
            passwords_are_given,
            the_queues_say_what_they_are_for,
            connections_and_consumers_say_who_they_are,
            an_import_is_requested_by_hand,
            a_machine_is_quiesced_by_hand,
            a_wrong_command_is_found_with_its_reason,
            an_answer_is_read,
            a_rejected_command_is_sent_again,
            a_command_is_typed_on_the_page_of_a_queue,
            an_operator_makes_up_no_work,
        ):
            chapter(system, console)
            print(f"ok  {chapter.__name__.replace('_', ' ')}", flush=True)


def set_up(system, console):
    system.cli("migrate")
    for words in (f"person add {OPERATOR}", "team add-member admins david", "team add-member vcs-imports david"):
        system.cli(words)


def importing_the_definitions_sets_a_broker_up(system, console):
    accounts = f"--coordinator {COORDINATOR} --worker {MACHINE} --subscriber audit --operator {OPERATOR}"
    file = Path(system.folder.name) / "definitions.json"
    file.write_text(system.cli(f"topology export --vhost {VHOST} {accounts}"))
    # The account that the private broker came with; it administers it.
    console.log_in("coordinator", "coordinator")
    assert console.import_definitions(file) == "Your definitions were imported successfully."
    console.save("import-definitions")


def passwords_are_given(system, console):
    for account in (COORDINATOR, MACHINE, OPERATOR):
        console.open("Admin", account)
        form = console.section("Update this user")
        console.fill(form, **{"has-password": "Password:"})
        console.fill(form, password=password(account), password_confirm=password(account))
        if account == OPERATOR:
            console.save("password", form)
        console.press(form, "Update user")
        console.find('//h1[normalize-space()="Users"]')
    # From here on the command line, too, has nothing but the operator's account.
    system.amqp_url = url(system, OPERATOR)
    checked = system.cli("topology check", AMQP_URL=url(system, COORDINATOR))
    assert checked.startswith("Every exchange and queue is as it should be.\n"), checked

    system.serve(url(system, COORDINATOR))
    system.work(MACHINE, url(system, MACHINE))
    system.cli(f"import register {IMPORT} --rcs git --url {system.upstream()}")
    until("the first run ends", lambda: system.json(f"import show {IMPORT}")["results"])


def the_queues_say_what_they_are_for(system, console):
    console.log_in(OPERATOR, password(OPERATOR))
    console.open("Queues")
    assert console.column("Name") == [f"code-imports.{queue}" for queue in QUEUES], console.column("Name")
    # The console counts every few seconds.
    until("the queues are counted", lambda: console.open("Overview") or console.open("Queues") or counted(console))
    console.save("queues")


def connections_and_consumers_say_who_they_are(system, console):
    console.open("Connections")
    names = "\n".join(console.column("Name"))
    version = system.cli("--version").split()[1]
    for role in ("coordinator", f"worker {MACHINE}"):
        named = [line for line in names.splitlines() if line.startswith(f"code-imports {role} ")]
        assert named and all(version in line for line in named), names
    console.save("connections")
    console.open("Queues", COMMANDS)
    consumers = console.section("Consumers")
    until("the consumer's name", lambda: f" {version} pid " in consumers.text and COMMANDS in consumers.text)


def an_import_is_requested_by_hand(system, console):
    console.open("Exchanges", COMMANDS)
    body = f'{{"type": "request", "import": "{IMPORT}", "user": "{OPERATOR}"}}'
    assert console.publish(body, routing_key="command") == PUBLISHED
    event = until("the request's event", lambda: system.events("REQUEST"))[-1]
    assert (event["person"], event["import"]["unique_name"]) == (OPERATOR, IMPORT), event
    results = until("the second run", lambda: system.json(f"import show {IMPORT}")["results"][1:])
    assert results, results


def a_machine_is_quiesced_by_hand(system, console):
    console.open("Exchanges", COMMANDS)

    def set_state(state):
        which = f'"machine": "{MACHINE}", "state": "{state}", "message": "new disk"'
        body = f'{{"type": "machine", {which}, "user": "{OPERATOR}"}}'
        screenshot = "publish-machine" if state == "QUIESCING" else None
        assert console.publish(body, routing_key="command", screenshot=screenshot) == PUBLISHED
        until(state, lambda: system.json(f"machine show {MACHINE}")["state"] == state)

    set_state("QUIESCING")
    event = system.events("QUIESCE")[-1]
    assert (event["person"], event["machine"], event["data"]["MESSAGE"]) == (OPERATOR, MACHINE, "new disk"), event
    set_state("ONLINE")
    assert system.events("ONLINE")[-1]["person"] == OPERATOR


def a_wrong_command_is_found_with_its_reason(system, console):
    console.open("Exchanges", COMMANDS)
    assert console.publish(f'{{"type": "reqest", "import": "{IMPORT}"}}', routing_key="command") == PUBLISHED
    rejected = until("the rejected message", lambda: system.json("rejected list")["messages"])
    assert (rejected[0]["code"], rejected[0]["from"]) == ("malformed", COMMANDS), rejected
    console.open("Queues", REJECTED)
    [shown] = console.get_messages(REQUEUE)
    for text in ("x-reason-code:", "malformed", "x-reason:", "type: expected one of", "x-rejected-from:", COMMANDS):
        assert text in shown, shown
    console.save("rejected", console.section("Get messages"))
    assert len(system.json("rejected list")["messages"]) == 1, "looking leaves it there"


def an_answer_is_read(system, console):
    console.open("Queues")
    form = console.section("Add a new queue")
    console.fill(form, vhost=VHOST, name=ANSWERS)
    console.press(form, "Add queue")
    console.find(f'//a[normalize-space()="{ANSWERS}"]')
    for import_name, outcome in ((IMPORT, '"outcome":"accepted"'), ("~a/b/c", "There is no code import ~a/b/c.")):
        console.open("Exchanges", COMMANDS)
        body = f'{{"type": "request", "import": "{import_name}", "user": "{OPERATOR}"}}'
        reply_to = {"reply_to": ANSWERS}
        assert console.publish(body, reply_to, routing_key="command", screenshot="publish-reply-to") == PUBLISHED
        console.open("Queues", ANSWERS)
        [shown] = until("the answer", lambda: console.get_messages(TAKE))
        assert outcome in shown, shown
        console.save("answer", console.section("Get messages"))


def a_rejected_command_is_sent_again(system, console):
    later = "~vcs-imports/later/import"
    console.open("Exchanges", COMMANDS)
    body = f'{{"type": "update", "import": "{later}", "update_interval_s": 3600, "user": "{OPERATOR}"}}'
    assert console.publish(body, routing_key="command") == PUBLISHED
    until("the rejected message", lambda: "unknown-import" in codes(system))
    system.cli(f"import register {later} --rcs git --url https://example.org/later.git --status NEW")
    body = f'{{"type": "requeue", "code": "unknown-import", "user": "{OPERATOR}"}}'
    assert console.publish(body, routing_key="command") == PUBLISHED
    until("it is not rejected any more", lambda: "unknown-import" not in codes(system))
    assert system.events("REPLAY")[-1]["person"] == OPERATOR
    event = until("its effect", lambda: system.events("MODIFY"))[-1]
    assert (event["person"], event["import"]["unique_name"]) == (OPERATOR, later), event
    assert system.json(f"import show {later}")["update_interval_s"] == 3600


def a_command_is_typed_on_the_page_of_a_queue(system, console):
    before = len(system.events("REQUEST"))
    console.open("Queues", COMMANDS)
    body = f'{{"type": "request", "import": "{IMPORT}", "user": "{OPERATOR}"}}'
    assert console.publish(body) == PUBLISHED
    until("one more request", lambda: len(system.events("REQUEST")) > before)


def an_operator_makes_up_no_work(system, console):
    console.open("Exchanges", "code-imports.work")
    refused = console.publish("{}", routing_key="git")
    assert "ACCESS_REFUSED" in refused and "'code-imports.work'" in refused, refused
    console.save("refused")


def counted(console):
    return all(number.isdecimal() for number in console.column("Ready"))


def codes(system):
    return [message["code"] for message in system.json("rejected list")["messages"]]


def password(account):
    return f"{account}-secret"


def url(system, account):
    return system.url_of(account, password(account), VHOST)


if __name__ == "__main__":
    main(*sys.argv[1:])
